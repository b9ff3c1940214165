using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The user database, as the name service has it.</summary>
internal static class Users
{
    // Beyond this it is no entry but a fault.
    private const int LargestEntry = 16 * 1024 * 1024;

    /// <summary>The number of the user of that name; null when there is none.</summary>
    /// <exception cref="UnixException">The database can't be read.</exception>
    public static unsafe uint? FindUid(string name)
    {
        for (int size = 4096; ; size *= 4)
        {
            byte[] buffer = new byte[size];
            Libc.UserEntry entry;
            Libc.UserEntry* found;
            int errno;
            fixed (byte* start = buffer)
            {
                errno = Libc.FindUser(name, &entry, start, (nuint)size, &found);
            }

            switch (errno)
            {
                case 0:
                    return found == null ? null : entry.Uid;
                case Errno.Interrupted:
                case Errno.Range when size < LargestEntry:
                    continue;
                default:
                    throw new UnixException($"getpwnam_r {name}", errno);
            }
        }
    }
}

internal static partial class Libc
{
    // Returns the error number itself.
    [LibraryImport(Library, EntryPoint = "getpwnam_r", StringMarshalling = StringMarshalling.Utf8)]
    internal static unsafe partial int FindUser(string name, UserEntry* entry, byte* buffer, nuint size, UserEntry** found);

    /// <summary>struct passwd of pwd.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct UserEntry
    {
        internal byte* Name;
        internal byte* Password;
        internal uint Uid;
        internal uint Gid;
        internal byte* RealName;
        internal byte* HomeDirectory;
        internal byte* Shell;
    }
}
