using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>
/// The process's address space by address, for areas put together from several mappings. Where one mapping is all,
/// <see cref="MemoryMapping"/> is simpler.
/// </summary>
internal static class AddressSpace
{
    private const int Shared = 0x01;
    private const int Private = 0x02;
    private const int Fixed = 0x10;
    private const int Anonymous = 0x20;
    private const int NoReserve = 0x4000;

    /// <summary>Takes addresses without memory behind them. Touching one is SIGSEGV.</summary>
    /// <exception cref="UnixException">ENOMEM: no room, or RLIMIT_AS.</exception>
    public static nint Reserve(nuint length)
    {
        nint address = Libc.MapAnonymous(0, length, (int)Protection.None, Private | Anonymous | NoReserve, -1, 0);
        return address == -1 ? throw UnixException.FromLastError($"mmap, to reserve {length} bytes of address space") : address;
    }

    /// <summary>Maps <paramref name="descriptor"/> over addresses that were reserved before.</summary>
    /// <exception cref="UnixException">EACCES when the descriptor does not allow the protection, ENODEV, ENOMEM.</exception>
    public static void MapOver(nint address, OwnedDescriptor descriptor, ulong offset, nuint length, Protection protection)
    {
        if (Libc.Map(address, length, (int)protection, Shared | Fixed, descriptor, checked((long)offset)) == -1)
        {
            throw UnixException.FromLastError($"mmap of {length} bytes at offset {offset}");
        }
    }

    /// <summary>Gives addresses back. They must have been taken here, or this breaks the process.</summary>
    public static bool Unmap(nint address, nuint length) => length == 0 || Libc.Unmap(address, length) == 0;

    /// <summary>Asks for large page table entries where they fit. A wish: the kernel may not know it.</summary>
    public static void PreferLargePages(nint address, nuint length)
    {
        const int HugePage = 14;
        _ = Libc.Advise(address, length, HugePage);
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "mmap64", SetLastError = true)]
    internal static partial nint MapAnonymous(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport(Library, EntryPoint = "madvise", SetLastError = true)]
    internal static partial int Advise(nint address, nuint length, int advice);
}
