using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The user database, as the name service has it.</summary>
internal static class Users
{
    /// <summary>The number of the user of that name; null when there is none.</summary>
    /// <exception cref="UnixException">The database can't be read.</exception>
    public static unsafe uint? FindUid(string name) => NameService.Find("getpwnam_r", name, Look);

    private static unsafe int Look(string name, byte* buffer, nuint size, out uint? id)
    {
        Libc.UserEntry entry;
        Libc.UserEntry* found = null;
        int errno = Libc.FindUser(name, &entry, buffer, size, &found);
        id = found == null ? null : entry.Uid;
        return errno;
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
