using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Which file a descriptor is.</summary>
public static class DescriptorInode
{
    /// <summary>The file's inode number, as fstat reports it.</summary>
    /// <exception cref="UnixException">The kernel could not say.</exception>
    public static unsafe ulong GetInode(this OwnedDescriptor descriptor)
    {
        byte* result = stackalloc byte[Libc.StatxSize];
        return Libc.Statx(descriptor, string.Empty, Libc.AtEmptyPath, Libc.StatxIno, result) == 0
            ? BitConverter.ToUInt64(new ReadOnlySpan<byte>(result + Libc.StatxInoOffset, sizeof(ulong)))
            : throw UnixException.FromLastError("statx on a descriptor");
    }
}
