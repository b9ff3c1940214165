using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.Unix;

/// <summary>What a mapping's memory may be used for (mmap(2)).</summary>
[Flags]
internal enum Protection
{
    None = 0,
    Read = 1,
    Write = 2,
}

/// <summary>
/// A shared mapping of a descriptor, unmapped by disposing. Its memory may fault at any time: managed code must not
/// touch it, which is why this gives an address and no span.
/// </summary>
internal sealed class MemoryMapping : SafeHandleMinusOneIsInvalid
{
    private readonly nuint _length;

    private MemoryMapping(nint address, nuint length)
        : base(ownsHandle: true)
    {
        _length = length;
        SetHandle(address);
    }

    public nint Address => handle;

    /// <exception cref="UnixException">EACCES when the descriptor does not allow the protection, EPERM when a seal does not, ENODEV, ENOMEM.</exception>
    public static MemoryMapping Map(OwnedDescriptor descriptor, ulong offset, ulong length, Protection protection)
    {
        const int Shared = 1;
        nint address = Libc.Map(0, checked((nuint)length), (int)protection, Shared, descriptor, checked((long)offset));
        return address == -1 ? throw UnixException.FromLastError("mmap") : new MemoryMapping(address, (nuint)length);
    }

    /// <exception cref="UnixException">EACCES when the descriptor did not allow it.</exception>
    public void Protect(Protection protection)
    {
        if (Libc.Protect(handle, _length, (int)protection) < 0)
        {
            throw UnixException.FromLastError("mprotect");
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.Unmap(handle, _length) == 0;
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "mmap64", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, OwnedDescriptor descriptor, long offset);

    [LibraryImport(Library, EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport(Library, EntryPoint = "mprotect", SetLastError = true)]
    internal static partial int Protect(nint address, nuint length, int protection);
}
