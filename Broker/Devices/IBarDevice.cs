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

    /// <summary>Is cancelled when the device went away for good: nothing of it can be reached or leased any more.</summary>
    CancellationToken Gone { get; }

    /// <summary>
    /// Makes the descriptor of a new lease. The caller owns it. When this throws, nothing was leased, and the kernel knows
    /// no lease <paramref name="id"/>.
    /// </summary>
    /// <exception cref="DeviceSuspendedException">The device can't be reached at the moment.</exception>
    /// <exception cref="DeviceGoneException">It never will again.</exception>
    /// <exception cref="UnixException">The kernel refused for another reason.</exception>
    Task<ExportedLease> ExportAsync(LeaseId id, ImmutableArray<BarRange> ranges, LeaseAccess access);

    /// <summary>
    /// Ends leases, in one step. When it returns, no process reaches the device through any of them. Ids that are not
    /// live are no error.
    /// </summary>
    /// <exception cref="RevocationUnconfirmedException">That could not be confirmed: none of these ranges may be leased again until a later call returns.</exception>
    Task RevokeAsync(ImmutableArray<LeaseId> ids);
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
}

/// <summary>One BAR of a device.</summary>
/// <param name="Index">Base address register, 0 to 5.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Reserved">Ranges that are never leased, page-aligned outward: the MSI-X table and its pending bits.</param>
public sealed record BarGeometry(int Index, ulong Size, ImmutableArray<BarRange> Reserved);

/// <summary>The descriptor of a new lease, and what a mapping of it gets.</summary>
public sealed record ExportedLease(OwnedDescriptor Descriptor, MemoryType MemoryType);
