using System.Globalization;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>How <see cref="Files.Open"/> opens, as open(2) has it. Every descriptor is close-on-exec without asking.</summary>
[Flags]
internal enum OpenFlags
{
    ReadOnly = 0,
    ReadWrite = 2,

    /// <summary>Opening a FIFO or a device does not wait for anybody.</summary>
    NonBlocking = 0x800,
}

/// <summary>What the kernel says of an open file (statx(2)).</summary>
/// <param name="IsRegular">An ordinary file: no directory, FIFO, socket or device.</param>
/// <param name="Owner">User id.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct FileFacts(bool IsRegular, uint Owner, UnixFileMode Mode, ulong Length);

/// <summary>Files by descriptor: what <see cref="FileStream"/> can't say or would do behind one's back.</summary>
internal static class Files
{
    private const int CloseOnExec = 0x80000;
    private const int TypeMask = 0xf000;

    /// <exception cref="UnixException">ENOENT, EACCES, EBUSY, ...</exception>
    public static OwnedDescriptor Open(string path, OpenFlags flags)
    {
        int descriptor;
        do
        {
            descriptor = Libc.Open(path, (int)flags | CloseOnExec, 0);
        }
        while (descriptor < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

        return descriptor < 0 ? throw UnixException.FromLastError($"open {path}") : new OwnedDescriptor(descriptor);
    }

    /// <summary>
    /// Opens once more what <paramref name="descriptor"/> refers to: a file description of its own, with its own access
    /// and its own position, where dup(2) would share both.
    /// </summary>
    public static OwnedDescriptor Reopen(OwnedDescriptor descriptor, OpenFlags flags)
    {
        bool held = false;
        try
        {
            descriptor.DangerousAddRef(ref held);
            return Open($"/proc/self/fd/{descriptor.DangerousGetHandle()}", flags);
        }
        finally
        {
            if (held)
            {
                descriptor.DangerousRelease();
            }
        }
    }

    /// <summary>Reads at <paramref name="offset"/>; less than asked for, possibly nothing, at the end.</summary>
    public static unsafe int ReadAt(OwnedDescriptor descriptor, Span<byte> buffer, ulong offset)
    {
        fixed (byte* start = buffer)
        {
            nint count;
            do
            {
                count = Libc.ReadAt(descriptor, start, (nuint)buffer.Length, (long)offset);
            }
            while (count < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

            return count < 0 ? throw UnixException.FromLastError("pread") : (int)count;
        }
    }

    /// <summary>Writes all of <paramref name="bytes"/> at <paramref name="offset"/>.</summary>
    public static unsafe void WriteAt(OwnedDescriptor descriptor, ReadOnlySpan<byte> bytes, ulong offset)
    {
        while (!bytes.IsEmpty)
        {
            nint count;
            fixed (byte* start = bytes)
            {
                count = Libc.WriteAt(descriptor, start, (nuint)bytes.Length, (long)offset);
            }

            if (count < 0 && Marshal.GetLastPInvokeError() != Errno.Interrupted)
            {
                throw UnixException.FromLastError("pwrite");
            }

            int written = (int)Math.Max(count, 0);
            bytes = bytes[written..];
            offset += (ulong)written;
        }
    }

    /// <summary>Sets the size. Pages beyond it are gone from every mapping before this returns.</summary>
    public static void Truncate(OwnedDescriptor descriptor, ulong length)
    {
        int result;
        do
        {
            result = Libc.Truncate(descriptor, (long)length);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

        if (result < 0)
        {
            throw UnixException.FromLastError("ftruncate");
        }
    }

    /// <summary>Sets the permission bits, which count for later openings.</summary>
    public static void SetMode(SafeHandle descriptor, UnixFileMode mode)
    {
        if (Libc.SetMode(descriptor, (uint)mode) < 0)
        {
            throw UnixException.FromLastError("fchmod");
        }
    }

    /// <summary>Gives what stands at <paramref name="path"/> itself, not behind a link, to a group; its owner stays.</summary>
    public static void SetGroup(string path, uint group)
    {
        const uint Unchanged = uint.MaxValue;
        if (Libc.ChangeOwner(path, Unchanged, group) < 0)
        {
            throw UnixException.FromLastError($"giving {path} to group {group}");
        }
    }

    /// <summary>This process may make files in the directory.</summary>
    public static bool MayAddTo(string path)
    {
        const int WorkingDirectory = -100;
        const int Write = 2;
        const int Search = 1;
        const int AsEffectiveUser = 0x200;
        return Libc.CheckAccess(WorkingDirectory, path, Write | Search, AsEffectiveUser) == 0;
    }

    /// <summary>There is a socket at <paramref name="path"/> itself, not behind a link.</summary>
    public static bool IsSocket(string path)
    {
        const int WorkingDirectory = -100;
        const int NoFollow = 0x100;
        const uint Type = 0x1;
        const int Socket = 0xc000;
        return Libc.GetStatusOfPath(WorkingDirectory, path, NoFollow, Type, out Libc.FileStatus status) == 0 && (status.Mode & TypeMask) == Socket;
    }

    /// <summary>The inode's number: two descriptors of one open object have the same.</summary>
    public static ulong InodeOf(OwnedDescriptor descriptor) => StatusOf(descriptor).Inode;

    /// <summary>The size in bytes.</summary>
    public static ulong LengthOf(OwnedDescriptor descriptor) => StatusOf(descriptor).Size;

    /// <summary>The number of the device behind a device node, as sysfs writes it: <c>major:minor</c>. Of other files it is 0:0.</summary>
    public static string DeviceNumberOf(OwnedDescriptor descriptor)
    {
        Libc.FileStatus status = StatusOf(descriptor);
        return string.Create(CultureInfo.InvariantCulture, $"{status.DeviceMajor}:{status.DeviceMinor}");
    }

    /// <summary>Type, owner, mode and size.</summary>
    public static FileFacts FactsOf(OwnedDescriptor descriptor)
    {
        const int Regular = 0x8000;
        Libc.FileStatus status = StatusOf(descriptor);
        return new FileFacts((status.Mode & TypeMask) == Regular, status.Owner, (UnixFileMode)(status.Mode & ~TypeMask), status.Size);
    }

    private static Libc.FileStatus StatusOf(OwnedDescriptor descriptor)
    {
        const int EmptyPath = 0x1000;
        const uint BasicStatus = 0x7ff;
        return Libc.GetStatus(descriptor, "", EmptyPath, BasicStatus, out Libc.FileStatus status) < 0
            ? throw UnixException.FromLastError("statx")
            : status;
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags, uint mode);

    [LibraryImport(Library, EntryPoint = "pread64", SetLastError = true)]
    internal static unsafe partial nint ReadAt(OwnedDescriptor descriptor, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "pwrite64", SetLastError = true)]
    internal static unsafe partial nint WriteAt(OwnedDescriptor descriptor, byte* buffer, nuint count, long offset);

    [LibraryImport(Library, EntryPoint = "ftruncate64", SetLastError = true)]
    internal static partial int Truncate(OwnedDescriptor descriptor, long length);

    [LibraryImport(Library, EntryPoint = "fchmod", SetLastError = true)]
    internal static partial int SetMode(SafeHandle descriptor, uint mode);

    [LibraryImport(Library, EntryPoint = "faccessat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int CheckAccess(int directory, string path, int mode, int flags);

    [LibraryImport(Library, EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ChangeOwner(string path, uint owner, uint group);

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetStatus(OwnedDescriptor directory, string path, int flags, uint mask, out FileStatus status);

    [LibraryImport(Library, EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int GetStatusOfPath(int directory, string path, int flags, uint mask, out FileStatus status);

    /// <summary>struct statx of linux/stat.h, as far as it is read here. It is 256 bytes on every machine.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct FileStatus
    {
        [FieldOffset(20)]
        internal uint Owner;

        [FieldOffset(28)]
        internal ushort Mode;

        [FieldOffset(32)]
        internal ulong Inode;

        [FieldOffset(40)]
        internal ulong Size;

        [FieldOffset(128)]
        internal uint DeviceMajor;

        [FieldOffset(132)]
        internal uint DeviceMinor;
    }
}
