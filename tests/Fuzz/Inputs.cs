namespace BarBroker.Fuzz;

/// <summary>The inputs that are kept: <c>corpus/TARGET</c>, made by hand, and <c>regressions/TARGET</c>, which once showed a fault.</summary>
internal static class Inputs
{
    private static readonly string[] Kinds = ["corpus", "regressions"];

    /// <summary>Those of a target, by path; none when it has no folder.</summary>
    internal static IEnumerable<string> Of(string root, string target) => Kinds
        .Select(kind => Path.Combine(root, kind, target))
        .Where(Directory.Exists)
        .SelectMany(Directory.GetFiles)
        .Order(StringComparer.Ordinal);

    /// <summary>Keeps one that showed a fault.</summary>
    /// <returns>Its path.</returns>
    internal static string Keep(string root, string target, byte[] input)
    {
        string path = Path.Combine(Directory.CreateDirectory(Path.Combine(root, "regressions", target)).FullName, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(input))[..16]);
        File.WriteAllBytes(path, input);
        return path;
    }
}
