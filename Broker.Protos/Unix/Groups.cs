using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The group database, as the name service has it.</summary>
internal static class Groups
{
    // A group with many members has a long entry; beyond this it is no entry but a fault.
    private const int LargestEntry = 16 * 1024 * 1024;

    /// <summary>The number of the group of that name; null when there is none.</summary>
    /// <exception cref="UnixException">The database can't be read.</exception>
    public static unsafe uint? FindGid(string name)
    {
        for (int size = 4096; ; size *= 4)
        {
            byte[] buffer = new byte[size];
            Libc.GroupEntry entry;
            Libc.GroupEntry* found;
            int errno;
            fixed (byte* start = buffer)
            {
                errno = Libc.FindGroup(name, &entry, start, (nuint)size, &found);
            }

            switch (errno)
            {
                case 0:
                    return found == null ? null : entry.Gid;
                case Errno.Interrupted:
                case Errno.Range when size < LargestEntry:
                    continue;
                default:
                    throw new UnixException($"getgrnam_r {name}", errno);
            }
        }
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
