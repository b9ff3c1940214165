using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The user that this process runs as.</summary>
internal static class ProcessUser
{
    /// <summary>What <paramref name="owner"/> may write is as good as this process's own: it is root, or runs this process.</summary>
    public static bool IsTrusted(uint owner) => owner == 0 || owner == Libc.GetEffectiveUserId();

    /// <summary>This process may give files of its own to that group: it is root's, or in it.</summary>
    /// <exception cref="UnixException">The kernel does not say which groups it has.</exception>
    public static bool MayGiveTo(uint group) =>
        Libc.GetEffectiveUserId() == 0 || Libc.GetEffectiveGroupId() == group || SupplementaryGroups().Contains(group);

    private static uint[] SupplementaryGroups()
    {
        // NGROUPS_MAX of limits.h.
        uint[] groups = new uint[65536];
        int count = Libc.GetGroups(groups.Length, groups);
        return count >= 0 ? groups[..count] : throw UnixException.FromLastError("getgroups");
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "geteuid")]
    internal static partial uint GetEffectiveUserId();

    [LibraryImport(Library, EntryPoint = "getegid")]
    internal static partial uint GetEffectiveGroupId();

    [LibraryImport(Library, EntryPoint = "getgroups", SetLastError = true)]
    internal static partial int GetGroups(int size, [Out] uint[] groups);
}
