using System.Runtime.CompilerServices;
using BarBroker.Client.Leases;
using BarBroker.Client.Mapping;
using BarBroker.Unix;

namespace BarBroker.Client;

/// <summary>
/// A lease's memory, mapped into this process: from <see cref="BarLease.Map"/>. Every access is one load or store of exactly
/// the width that its name says in bits, in the processor's byte order (little-endian on every machine that this runs on). All
/// members may be used by several threads at once, <see cref="Dispose"/> among them.
/// </summary>
/// <remarks>
/// <para>
/// Accesses of one thread reach the device in their order. As with the kernel's <c>writel</c> and <c>readl</c>, a write comes after
/// the writes to ordinary memory before it, and a read before the reads of ordinary memory after it. A write returns before the
/// device has it: see <see cref="FlushWrites"/>.
/// </para>
/// <para>
/// Not so with <see cref="MemoryType.WriteCombining"/>: its writes may reach the device late, gathered and in any order, and its reads may be made
/// ahead of time. What must come first, such as a queue's entry before its doorbell is rung (through this mapping or an uncached one),
/// takes a <see cref="WriteFence"/> between the two. Accesses of one thread to the same bytes stay in order.
/// </para>
/// <para>
/// There is no span or pointer over the memory, because .NET's memory model says nothing about device memory: a copy may use any
/// width, or the same address twice, and touching it after the lease's end would end the process.
/// </para>
/// <para>
/// Each access throws: <see cref="ArgumentOutOfRangeException"/> when it does not lie inside the lease; <see cref="ArgumentException"/>
/// when the offset is not a multiple of the width; <see cref="InvalidOperationException"/> for a write on a read-only lease;
/// <see cref="LeaseRevokedException"/> when the lease is over; <see cref="DeviceSuspendedException"/> when the device can't be reached
/// for now; <see cref="ObjectDisposedException"/> when the mapping is disposed, or its lease released; and <see cref="UnixException"/>
/// when an access failed and the kernel, out of memory, could not say why.
/// </para>
/// </remarks>
public sealed class MappedBar : IDisposable
{
    private readonly LeaseMapping _mapping;
    private readonly LeaseInfo _lease;
    private readonly Action<MappedBar> _disposed;

    internal MappedBar(LeaseMapping mapping, LeaseInfo lease, Action<MappedBar> disposed)
    {
        _mapping = mapping;
        _lease = lease;
        _disposed = disposed;
    }

    /// <summary>Bytes. Several ranges lie one after the other.</summary>
    public ulong Length => _lease.Length;

    /// <summary>What may be done with the memory.</summary>
    public LeaseAccess Access => _lease.Access;

    /// <summary>How the CPU reaches the memory.</summary>
    public MemoryType MemoryType => _lease.MemoryType;

    /// <summary>Loads 8 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease.</param>
    public byte Read8(ulong offset) => Read<byte>(offset);

    /// <summary>Loads 16 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 2.</param>
    public ushort Read16(ulong offset) => Read<ushort>(offset);

    /// <summary>Loads 32 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 4.</param>
    public uint Read32(ulong offset) => Read<uint>(offset);

    /// <summary>Loads 64 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 8.</param>
    public ulong Read64(ulong offset) => Read<ulong>(offset);

    /// <summary>Stores 8 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease.</param>
    /// <param name="value">What to store.</param>
    public void Write8(ulong offset, byte value) => Write(offset, value);

    /// <summary>Stores 16 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 2.</param>
    /// <param name="value">What to store.</param>
    public void Write16(ulong offset, ushort value) => Write(offset, value);

    /// <summary>Stores 32 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 4.</param>
    /// <param name="value">What to store.</param>
    public void Write32(ulong offset, uint value) => Write(offset, value);

    /// <summary>Stores 64 bits.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 8.</param>
    /// <param name="value">What to store.</param>
    public void Write64(ulong offset, ulong value) => Write(offset, value);

    /// <summary>Loads 8 bits for each element, in ascending order. When it throws, the first elements may have been filled.</summary>
    /// <param name="offset">Bytes from the start of the lease.</param>
    /// <param name="destination">Is filled.</param>
    public void ReadBlock8(ulong offset, Span<byte> destination) => ReadBlock(offset, destination);

    /// <summary>Loads 16 bits for each element, in ascending order. When it throws, the first elements may have been filled.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 2.</param>
    /// <param name="destination">Is filled.</param>
    public void ReadBlock16(ulong offset, Span<ushort> destination) => ReadBlock(offset, destination);

    /// <summary>Loads 32 bits for each element, in ascending order. When it throws, the first elements may have been filled.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 4.</param>
    /// <param name="destination">Is filled.</param>
    public void ReadBlock32(ulong offset, Span<uint> destination) => ReadBlock(offset, destination);

    /// <summary>Loads 64 bits for each element, in ascending order. When it throws, the first elements may have been filled.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 8.</param>
    /// <param name="destination">Is filled.</param>
    public void ReadBlock64(ulong offset, Span<ulong> destination) => ReadBlock(offset, destination);

    /// <summary>Stores 8 bits for each element, in ascending order. When it throws, the first elements may have been stored.</summary>
    /// <param name="offset">Bytes from the start of the lease.</param>
    /// <param name="source">What to store.</param>
    public void WriteBlock8(ulong offset, ReadOnlySpan<byte> source) => WriteBlock(offset, source);

    /// <summary>Stores 16 bits for each element, in ascending order. When it throws, the first elements may have been stored.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 2.</param>
    /// <param name="source">What to store.</param>
    public void WriteBlock16(ulong offset, ReadOnlySpan<ushort> source) => WriteBlock(offset, source);

    /// <summary>Stores 32 bits for each element, in ascending order. When it throws, the first elements may have been stored.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 4.</param>
    /// <param name="source">What to store.</param>
    public void WriteBlock32(ulong offset, ReadOnlySpan<uint> source) => WriteBlock(offset, source);

    /// <summary>Stores 64 bits for each element, in ascending order. When it throws, the first elements may have been stored.</summary>
    /// <param name="offset">Bytes from the start of the lease; a multiple of 8.</param>
    /// <param name="source">What to store.</param>
    public void WriteBlock64(ulong offset, ReadOnlySpan<ulong> source) => WriteBlock(offset, source);

    /// <summary>
    /// Writes that this thread made before this call, through any mapping or to ordinary memory, come before those that it makes after
    /// it. Needed with <see cref="MemoryType.WriteCombining"/> only, where it also sends what the processor has gathered so far on its
    /// way; elsewhere the order holds by itself. Does not wait until the device has them: see <see cref="FlushWrites"/>.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The mapping is disposed, or its lease released.</exception>
    public void WriteFence()
    {
        using LeaseMapping.Usage memory = Use();
        Mmio.WriteFence();
    }

    /// <summary>
    /// Returns once the device has every write that this thread made before: writes are posted, and a read pushes them ahead of itself.
    /// With <see cref="MemoryType.WriteCombining"/> it fences first.
    /// </summary>
    /// <param name="offset">A register whose 32-bit read has no side effect, in bytes from the start of the lease; a multiple of 4.</param>
    public void FlushWrites(ulong offset)
    {
        if (_lease.MemoryType is not (MemoryType.Uncached or MemoryType.Cached))
        {
            Mmio.Fence();
        }

        Read<uint>(offset);
    }

    /// <summary>
    /// Unmaps the memory, once accesses that other threads have under way are over. The lease lives on. Idempotent.
    /// </summary>
    public void Dispose()
    {
        _mapping.Dispose();
        _disposed(this);
    }

    private unsafe T Read<T>(ulong offset)
        where T : unmanaged
    {
        CheckPlace<T>(offset, 1);
        using LeaseMapping.Usage memory = Use();
        T value;
        return Mmio.TryRead(memory.Address + (nint)offset, &value) ? value : throw Fault("read", offset);
    }

    private void Write<T>(ulong offset, T value)
        where T : unmanaged
    {
        CheckWritable();
        CheckPlace<T>(offset, 1);
        using LeaseMapping.Usage memory = Use();
        if (!Mmio.TryWrite(memory.Address + (nint)offset, value))
        {
            throw Fault("write", offset);
        }
    }

    private unsafe void ReadBlock<T>(ulong offset, Span<T> destination)
        where T : unmanaged
    {
        CheckPlace<T>(offset, destination.Length);
        using LeaseMapping.Usage memory = Use();
        fixed (T* to = destination)
        {
            if (!Mmio.TryReadBlock(memory.Address + (nint)offset, to, (nuint)destination.Length))
            {
                throw Fault("block read", offset);
            }
        }
    }

    private unsafe void WriteBlock<T>(ulong offset, ReadOnlySpan<T> source)
        where T : unmanaged
    {
        CheckWritable();
        CheckPlace<T>(offset, source.Length);
        using LeaseMapping.Usage memory = Use();
        fixed (T* from = source)
        {
            if (!Mmio.TryWriteBlock(memory.Address + (nint)offset, from, (nuint)source.Length))
            {
                throw Fault("block write", offset);
            }
        }
    }

    private LeaseMapping.Usage Use()
    {
        try
        {
            return _mapping.Use();
        }
        catch (ObjectDisposedException)
        {
            throw Disposed();
        }
    }

    private void CheckWritable()
    {
        if (_lease.Access != LeaseAccess.ReadWrite)
        {
            ThrowReadOnly();
        }
    }

    private void CheckPlace<T>(ulong offset, int count)
    {
        ulong width = (ulong)Unsafe.SizeOf<T>();
        ulong bytes = width * (ulong)count;
        if (bytes > Length || offset > Length - bytes)
        {
            ThrowOutside(offset, bytes);
        }

        if (offset % width != 0)
        {
            ThrowUnaligned(offset, width);
        }
    }

    private void ThrowReadOnly() => throw new InvalidOperationException($"{_lease} is read-only: acquire one with LeaseAccess.ReadWrite to write.");

    private void ThrowOutside(ulong offset, ulong bytes) =>
        throw new ArgumentOutOfRangeException(nameof(offset), $"{bytes} bytes at offset 0x{offset:x} do not lie inside the 0x{Length:x} bytes of {_lease}.");

    private static void ThrowUnaligned(ulong offset, ulong width) =>
        throw new ArgumentException($"Offset 0x{offset:x} is not a multiple of {width}, the access's width in bytes.", nameof(offset));

    private ObjectDisposedException Disposed() => new(nameof(MappedBar), $"The mapping of {_lease} was disposed, or the lease released.");

    /// <summary>Called while the mapping is in use.</summary>
    private Exception Fault(string what, ulong offset)
    {
        try
        {
            string failed = $"The {what} at offset 0x{offset:x} failed";
            return _mapping.IsRevoked()
                ? new LeaseRevokedException(_lease.Id, $"{failed}: {_lease} is over, and its memory was taken back.")
                : new DeviceSuspendedException(_lease.Id, $"{failed}: the device can't be reached at the moment. {_lease} stands; try again.");
        }
        catch (ObjectDisposedException)
        {
            // The lease is being released by another thread: the descriptor is closed, and the memory about to be unmapped.
            return Disposed();
        }
    }
}
