using System.Reflection;

namespace BarBroker.Hosting;

/// <summary>What this program is made of.</summary>
internal static class ProgramAssemblies
{
    /// <summary>Of the runtime's: what an exception needs to become text.</summary>
    private static readonly string[] ForStackTraces = ["System.Diagnostics.StackTrace", "System.Reflection.Metadata"];

    /// <summary>
    /// Loads its assemblies, and those of the runtime that these refer to. The runtime by itself opens an assembly when something in it is first
    /// used: for a refusal, say, the first of which may come of there being no descriptor left. It then fails to find it, and never looks for it
    /// again. Each costs two descriptors, so what only the runtime needs of itself is left to it.
    /// </summary>
    internal static void LoadAll()
    {
        HashSet<string> seen = new(StringComparer.OrdinalIgnoreCase);
        Queue<Assembly> own = new([typeof(ProgramAssemblies).Assembly]);
        while (own.TryDequeue(out Assembly? assembly))
        {
            foreach (AssemblyName name in assembly.GetReferencedAssemblies())
            {
                if (seen.Add(name.Name!) && TryLoad(name) is { } found && IsOwn(found))
                {
                    own.Enqueue(found);
                }
            }
        }

        foreach (string name in ForStackTraces)
        {
            TryLoad(new AssemblyName(name));
        }
    }

    private static bool IsOwn(Assembly assembly) =>
        string.Equals(Path.GetDirectoryName(assembly.Location), Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory), StringComparison.Ordinal);

    /// <summary>Null for what is not installed: packages refer to more than they bring.</summary>
    private static Assembly? TryLoad(AssemblyName name)
    {
        try
        {
            return Assembly.Load(name);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }
}
