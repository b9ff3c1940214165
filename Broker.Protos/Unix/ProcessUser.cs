using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The user that this process runs as.</summary>
internal static class ProcessUser
{
    /// <summary>What <paramref name="owner"/> may write is as good as this process's own: it is root, or runs this process.</summary>
    public static bool IsTrusted(uint owner) => owner == 0 || owner == Libc.GetEffectiveUserId();
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "geteuid")]
    internal static partial uint GetEffectiveUserId();
}
