using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The group database, as the name service has it.</summary>
internal static class Groups
{
    /// <summary>The number of the group of that name; null when there is none.</summary>
    /// <exception cref="UnixException">The database can't be read.</exception>
    public static unsafe uint? FindGid(string name) => NameService.Find("getgrnam_r", name, Look);

    private static unsafe int Look(string name, byte* buffer, nuint size, out uint? id)
    {
        Libc.GroupEntry entry;
        Libc.GroupEntry* found = null;
        int errno = Libc.FindGroup(name, &entry, buffer, size, &found);
        id = found == null ? null : entry.Gid;
        return errno;
    }
}

internal static partial class Libc
{
    // Returns the error number itself.
    [LibraryImport(Library, EntryPoint = "getgrnam_r", StringMarshalling = StringMarshalling.Utf8)]
    internal static unsafe partial int FindGroup(string name, GroupEntry* entry, byte* buffer, nuint size, GroupEntry** found);

    /// <summary>struct group of grp.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct GroupEntry
    {
        internal byte* Name;
        internal byte* Password;
        internal uint Gid;
        internal byte** Members;
    }
}
