using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Inodes: statx(2), fchmod(2), lchown(2).</summary>
internal static partial class Libc
{
    internal const int AtWorkingDirectory = -100;
    internal const int AtSymlinkNoFollow = 0x100;
    internal const int AtEmptyPath = 0x1000;
    internal const uint StatxType = 0x1;
    internal const uint StatxIno = 0x100;

    /// <summary>sizeof(struct statx), on every architecture.</summary>
    internal const int StatxSize = 256;

    /// <summary>offsetof(struct statx, stx_mode).</summary>
    internal const int StatxModeOffset = 28;

    /// <summary>offsetof(struct statx, stx_ino).</summary>
    internal const int StatxInoOffset = 32;

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static unsafe partial int Statx(SafeHandle directory, string path, int flags, uint mask, byte* result);

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static unsafe partial int StatxPath(int directory, string path, int flags, uint mask, byte* result);

    [LibraryImport(Library, EntryPoint = "fchmod", SetLastError = true)]
    internal static partial int ChangeMode(SafeHandle descriptor, uint mode);

    [LibraryImport(Library, EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ChangeOwner(string path, uint owner, uint group);
}
