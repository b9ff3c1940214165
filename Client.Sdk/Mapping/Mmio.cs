using System.Runtime.InteropServices;

namespace BarBroker.Client.Mapping;

/// <summary>
/// The native library (native/barbroker.h): loads and stores that report a lease's end instead of ending the process.
/// </summary>
/// <remarks>
/// The calls keep their GC transition. An access can wait for a kernel lock while it faults, and without the transition
/// the garbage collector, and with it every thread, would wait too; a device's register is slower than the transition anyway.
/// </remarks>
internal static unsafe partial class Mmio
{
    private const string Library = "barbroker";
    private const int FileExists = 17;

    // Late: the runtime's own SIGBUS handler must be in place before ours.
    private static readonly Lazy<int> InitResult = new(Initialize);

    /// <summary>To be called before the first access.</summary>
    /// <exception cref="PlatformNotSupportedException">The library is not there, or is for another machine.</exception>
    /// <exception cref="InvalidOperationException">The process has another copy of the library.</exception>
    public static void EnsureReady()
    {
        int result;
        try
        {
            result = InitResult.Value;
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
        {
            throw new PlatformNotSupportedException(
                $"lib{Library}.so can't be loaded on {RuntimeInformation.RuntimeIdentifier}: it comes with the package BarBroker.Client, in "
                + "runtimes/linux-x64/native or linux-arm64/native, and must lie beside the application.",
                exception);
        }

        if (result == -FileExists)
        {
            throw new InvalidOperationException(
                $"Another copy of lib{Library}.so handles this process's bus errors already. "
                + "Load BarBroker.Client once for all of the process, such as in the default AssemblyLoadContext.");
        }

        if (result != 0)
        {
            throw new InvalidOperationException(
                $"lib{Library}.so could not install its signal handler: {Marshal.GetPInvokeErrorMessage(-result)} (errno {-result}).");
        }
    }

    /// <summary>One load of <typeparamref name="T"/>'s width; false if the memory is gone.</summary>
    public static bool TryRead<T>(nint address, T* value)
        where T : unmanaged
    {
        // The JIT keeps one arm.
        return 0 == sizeof(T) switch
        {
            1 => Read8(address, (byte*)value),
            2 => Read16(address, (ushort*)value),
            4 => Read32(address, (uint*)value),
            8 => Read64(address, (ulong*)value),
            _ => throw new ArgumentException($"No access is {sizeof(T)} bytes wide.", nameof(value)),
        };
    }

    /// <summary>One store of <typeparamref name="T"/>'s width; false if the memory is gone.</summary>
    public static bool TryWrite<T>(nint address, T value)
        where T : unmanaged
    {
        return 0 == sizeof(T) switch
        {
            1 => Write8(address, *(byte*)&value),
            2 => Write16(address, *(ushort*)&value),
            4 => Write32(address, *(uint*)&value),
            8 => Write64(address, *(ulong*)&value),
            _ => throw new ArgumentException($"No access is {sizeof(T)} bytes wide.", nameof(value)),
        };
    }

    /// <summary>One load per element, in ascending order; false if the memory went away in between.</summary>
    public static bool TryReadBlock<T>(nint address, T* to, nuint count)
        where T : unmanaged
    {
        return count == sizeof(T) switch
        {
            1 => ReadBlock8(address, (byte*)to, count),
            2 => ReadBlock16(address, (ushort*)to, count),
            4 => ReadBlock32(address, (uint*)to, count),
            8 => ReadBlock64(address, (ulong*)to, count),
            _ => throw new ArgumentException($"No access is {sizeof(T)} bytes wide.", nameof(to)),
        };
    }

    /// <summary>One store per element, in ascending order; false if the memory went away in between.</summary>
    public static bool TryWriteBlock<T>(nint address, T* from, nuint count)
        where T : unmanaged
    {
        return count == sizeof(T) switch
        {
            1 => WriteBlock8(address, (byte*)from, count),
            2 => WriteBlock16(address, (ushort*)from, count),
            4 => WriteBlock32(address, (uint*)from, count),
            8 => WriteBlock64(address, (ulong*)from, count),
            _ => throw new ArgumentException($"No access is {sizeof(T)} bytes wide.", nameof(from)),
        };
    }

    /// <summary>Writes before it come before writes after it, whatever their memory type.</summary>
    [LibraryImport(Library, EntryPoint = "bb_mmio_write_fence")]
    public static partial void WriteFence();

    /// <summary>Accesses before it come before accesses after it, whatever their memory type.</summary>
    [LibraryImport(Library, EntryPoint = "bb_mmio_fence")]
    public static partial void Fence();

    [LibraryImport(Library, EntryPoint = "bb_mmio_init")]
    private static partial int Initialize();

    [LibraryImport(Library, EntryPoint = "bb_mmio_read8")]
    private static partial int Read8(nint address, byte* value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read16")]
    private static partial int Read16(nint address, ushort* value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read32")]
    private static partial int Read32(nint address, uint* value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read64")]
    private static partial int Read64(nint address, ulong* value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write8")]
    private static partial int Write8(nint address, byte value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write16")]
    private static partial int Write16(nint address, ushort value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write32")]
    private static partial int Write32(nint address, uint value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write64")]
    private static partial int Write64(nint address, ulong value);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read_block8")]
    private static partial nuint ReadBlock8(nint from, byte* to, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read_block16")]
    private static partial nuint ReadBlock16(nint from, ushort* to, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read_block32")]
    private static partial nuint ReadBlock32(nint from, uint* to, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_read_block64")]
    private static partial nuint ReadBlock64(nint from, ulong* to, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write_block8")]
    private static partial nuint WriteBlock8(nint to, byte* from, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write_block16")]
    private static partial nuint WriteBlock16(nint to, ushort* from, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write_block32")]
    private static partial nuint WriteBlock32(nint to, uint* from, nuint count);

    [LibraryImport(Library, EntryPoint = "bb_mmio_write_block64")]
    private static partial nuint WriteBlock64(nint to, ulong* from, nuint count);
}
