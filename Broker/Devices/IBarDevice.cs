using System.Collections.Immutable;
using BarBroker.Unix;

namespace BarBroker.Devices;

/// <summary>
/// A device whose BARs can be leased. It exports ranges and takes them back; who holds what, and whether two leases may
/// overlap, is not its business.
/// </summary>
public interface IBarDevice : IAsyncDisposable
{
    /// <summary>The device's name in the policy.</summary>
    string Name { get; }

    /// <summary>Where it sits; null for a simulated device.</summary>
    PciAddress? Address { get; }

    /// <summary>The BARs that can be mapped, in order of their index, as the kernel reports them.</summary>
    ImmutableArray<BarGeometry> Bars { get; }

    /// <summary>Two live leases may share bytes.</summary>
    bool CanOverlap { get; }

    /// <summary>How many ranges one lease may have.</summary>
    int MaxRanges { get; }

    /// <summary>Is cancelled when the device went away for good: nothing of it can be reached or leased any more.</summary>
    CancellationToken Gone { get; }

    /// <summary>
    /// Makes the descriptor of a new lease. The caller owns it. When this throws, nothing was leased, and the kernel knows
    /// no lease <paramref name="id"/>.
    /// </summary>
    /// <param name="id">Names it.</param>
    /// <param name="holder">Who answers for what it costs the device: a number that means nothing here but same or another.</param>
    /// <param name="ranges">What it is of, in the order in which it presents them.</param>
    /// <param name="options">What it is to be like.</param>
    /// <exception cref="DeviceSuspendedException">The device can't be reached at the moment.</exception>
    /// <exception cref="DeviceGoneException">It never will again.</exception>
    /// <exception cref="UnixException">The kernel refused for another reason.</exception>
    /// <exception cref="MemoryTypeUnavailableException">It has no memory of the type that was asked for.</exception>
    /// <exception cref="LeaseQuotaException"><paramref name="holder"/> has as many leases as one may have, those included that are over but still open somewhere.</exception>
    Task<ExportedLease> ExportAsync(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options);

    /// <summary>What a mapping gets that is to be of type <paramref name="wanted"/>; null when it can't be had.</summary>
    MemoryType? MemoryTypeFor(MemoryType wanted);

    /// <summary>
    /// Ends leases, in one step. When it returns, no process reaches the device through any of them. Ids that are not
    /// live are no error.
    /// </summary>
    /// <exception cref="RevocationUnconfirmedException">That could not be confirmed of those that it names: none of their ranges may be leased again until a later call returns.</exception>
    Task RevokeAsync(ImmutableArray<LeaseId> ids);
}

/// <summary>What a new lease is to be like.</summary>
/// <param name="Access">With which access.</param>
/// <param name="MemoryType">How the CPU is to reach the memory: uncached or write-combining.</param>
/// <param name="P2P">The drivers of other devices may attach to the descriptor for peer-to-peer DMA. Takes read-write access, and one range.</param>
public sealed record ExportOptions(LeaseAccess Access, MemoryType MemoryType = MemoryType.Uncached, bool P2P = false)
{
    /// <summary>Loads only, of uncached memory.</summary>
    public static ExportOptions ReadOnly { get; } = new(LeaseAccess.ReadOnly);

    /// <summary>Loads and stores, of uncached memory.</summary>
    public static ExportOptions ReadWrite { get; } = new(LeaseAccess.ReadWrite);
}

/// <summary>What a lease's holder may do with the memory.</summary>
public enum LeaseAccess
{
    /// <summary>Loads only.</summary>
    ReadOnly,

    /// <summary>Loads and stores.</summary>
    ReadWrite,
}

/// <summary>How the CPU reaches the memory.</summary>
public enum MemoryType
{
    /// <summary>Every access goes to the device, in order.</summary>
    Uncached,

    /// <summary>Ordinary memory: the simulated device only.</summary>
    Cached,

    /// <summary>Stores may be gathered and reach the device late and out of order, until a fence.</summary>
    WriteCombining,
}

/// <summary>One BAR of a device.</summary>
/// <param name="Index">Base address register, 0 to 5.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Reserved">Ranges that are never leased, page-aligned outward: the MSI-X table and its pending bits.</param>
public sealed record BarGeometry(int Index, ulong Size, ImmutableArray<BarRange> Reserved);

/// <summary>The descriptor of a new lease, and what a mapping of it gets.</summary>
public sealed record ExportedLease(OwnedDescriptor Descriptor, MemoryType MemoryType);
