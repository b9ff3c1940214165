using System.Collections.Immutable;
using BarBroker.Unix;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.Client.Mapping;

/// <summary>
/// A lease's memory in this process: its ranges, one behind the other. It is unmapped when it has been disposed and
/// nobody uses it any more (<see cref="Use"/>). Until then its addresses stay taken, whatever becomes of the lease.
/// </summary>
internal sealed class LeaseMapping : SafeHandleMinusOneIsInvalid
{
    /// <summary>
    /// What one entry of the second page table level covers on x86-64, and on arm64 with 4 KiB pages. An entry of this size needs
    /// the address and the bus address to agree below it; a BAR is aligned to its size, so the range's offset stands for the latter.
    /// </summary>
    private const ulong LargePage = 2 << 20;

    private readonly nuint _length;
    private readonly OwnedDescriptor _descriptor;

    private LeaseMapping(nint address, nuint length, OwnedDescriptor descriptor)
        : base(ownsHandle: true)
    {
        _length = length;
        _descriptor = descriptor;
        SetHandle(address);
    }

    /// <exception cref="UnixException">EACCES when the descriptor does not allow the access, ENODEV when the lease has been revoked, ENOMEM.</exception>
    /// <exception cref="ObjectDisposedException">The descriptor is closed.</exception>
    public static LeaseMapping Map(OwnedDescriptor descriptor, ImmutableArray<BarRange> ranges, LeaseAccess access)
    {
        Protection protection = access == LeaseAccess.ReadWrite ? Protection.Read | Protection.Write : Protection.Read;
        nuint length = checked((nuint)ranges.Aggregate(0UL, (sum, range) => checked(sum + range.Length)));
        ulong? residue = FindResidue(ranges);
        LeaseMapping mapping = new(residue is { } wanted ? ReserveCongruent(length, wanted) : AddressSpace.Reserve(length), length, descriptor);
        nuint position = 0;
        foreach (BarRange range in ranges)
        {
            try
            {
                AddressSpace.MapOver(mapping.handle + (nint)position, descriptor, position, (nuint)range.Length, protection);
            }
            catch
            {
                mapping.GiveBackAllBut(position, (nuint)range.Length);
                throw;
            }

            position += (nuint)range.Length;
        }

        if (residue is not null)
        {
            AddressSpace.PreferLargePages(mapping.handle, length);
        }

        return mapping;
    }

    /// <summary>Keeps the memory mapped until the result is disposed.</summary>
    /// <exception cref="ObjectDisposedException">It has been disposed.</exception>
    public Usage Use() => new(this);

    /// <summary>
    /// Whether the lease that <paramref name="descriptor"/> maps is over. The kernel is asked, since what the broker says comes
    /// later or not at all, and one rule serves every device: a lease that stands can be mapped once more, over its whole length. Of a revoked
    /// one the kernel module refuses that with ENODEV (of a suspended one it does not); the simulated device's memory
    /// has been cut off, and the kernel would map nothing but its absence, so the length is asked for first.
    /// </summary>
    /// <exception cref="UnixException">The kernel could not answer, such as for lack of memory.</exception>
    /// <exception cref="ObjectDisposedException">The descriptor is closed.</exception>
    public static bool IsRevoked(OwnedDescriptor descriptor, ulong length)
    {
        const int NoDevice = 19;
        if (Files.LengthOf(descriptor) < length)
        {
            return true;
        }

        try
        {
            MemoryMapping.Map(descriptor, 0, (ulong)Environment.SystemPageSize, Protection.Read).Dispose();
            return false;
        }
        catch (UnixException exception) when (exception.Errno == NoDevice)
        {
            return true;
        }
    }

    /// <inheritdoc cref="IsRevoked(OwnedDescriptor, ulong)"/>
    public bool IsRevoked() => IsRevoked(_descriptor, _length);

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => AddressSpace.Unmap(handle, _length);

    /// <summary>
    /// Ends a mapping of which one part failed. The kernel removes what stands at an address before it asks the file for what is to come
    /// there, so that part may be anybody's by now: unmapping it could take the memory of another thread. If it isn't, the process loses
    /// addresses, without memory behind them.
    /// </summary>
    private void GiveBackAllBut(nuint failed, nuint length)
    {
        SetHandleAsInvalid();
        AddressSpace.Unmap(handle, failed);
        AddressSpace.Unmap(handle + (nint)(failed + length), _length - failed - length);
    }

    /// <summary>
    /// Where a mapping has to start, modulo a large page, for as many large pages as possible; null when none fits. Each range has a
    /// wish of its own: that its place in the BAR and its address agree.
    /// </summary>
    private static ulong? FindResidue(ImmutableArray<BarRange> ranges)
    {
        Dictionary<ulong, ulong> pagesByResidue = [];
        ulong position = 0;
        foreach (BarRange range in ranges)
        {
            ulong first = (range.Offset + LargePage - 1) / LargePage;
            ulong end = (range.Offset + range.Length) / LargePage;
            if (end > first)
            {
                ulong residue = unchecked(range.Offset - position) % LargePage;
                pagesByResidue[residue] = pagesByResidue.GetValueOrDefault(residue) + (end - first);
            }

            position += range.Length;
        }

        return pagesByResidue.Count == 0 ? null : pagesByResidue.MaxBy(entry => entry.Value).Key;
    }

    /// <summary>Addresses that agree with <paramref name="residue"/> below a large page.</summary>
    private static nint ReserveCongruent(nuint length, ulong residue)
    {
        nint start = AddressSpace.Reserve(checked(length + (nuint)LargePage));
        nuint head = (nuint)(unchecked(residue - (ulong)start) % LargePage);
        AddressSpace.Unmap(start, head);
        AddressSpace.Unmap(start + (nint)(head + length), (nuint)LargePage - head);
        return start + (nint)head;
    }

    /// <summary>A use of the mapping under way.</summary>
    public readonly ref struct Usage
    {
        private readonly LeaseMapping _mapping;

        internal Usage(LeaseMapping mapping)
        {
            bool held = false;
            mapping.DangerousAddRef(ref held);
            _mapping = mapping;
        }

        /// <summary>The address of the mapping's first byte.</summary>
        public nint Address => _mapping.handle;

        public void Dispose() => _mapping.DangerousRelease();
    }
}
