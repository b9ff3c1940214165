namespace BarBroker.Tool;

/// <summary>Where a program may be, as execvp(3) looks for it.</summary>
internal static class ProgramSearch
{
    private static readonly byte[] Key = "PATH="u8.ToArray();
    private static readonly byte[] DefaultPath = "/bin:/usr/bin"u8.ToArray();

    public static byte[][] FindPaths(byte[] program, byte[][] environment)
    {
        if (program.AsSpan().Contains((byte)'/'))
        {
            return [program];
        }

        byte[]? entry = Array.Find(environment, entry => entry.AsSpan().StartsWith(Key));
        byte[] path = entry is null ? DefaultPath : entry[Key.Length..];
        List<byte[]> paths = [];
        foreach (Range part in ((ReadOnlySpan<byte>)path).Split((byte)':'))
        {
            // An empty part is the working directory.
            byte[] directory = path[part];
            paths.Add(directory.Length == 0 ? program : [.. directory, (byte)'/', .. program]);
        }

        return [.. paths];
    }
}
