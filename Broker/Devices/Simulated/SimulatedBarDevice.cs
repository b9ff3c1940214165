using System.Collections.Immutable;
using BarBroker.Unix;

namespace BarBroker.Devices.Simulated;

/// <summary>
/// A device without hardware and without privileges: each lease is ordinary memory of its own. What it can't do that the
/// kernel module can: two leases never see each other's stores, there is no suspend, an mmap after the end of a lease
/// succeeds and faults instead of being refused, no driver can attach to a descriptor, and a broker that is killed revokes
/// nothing. Its memory is cached, also where write-combining was asked for: whoever fences as that takes is right here too.
/// </summary>
/// <remarks>
/// A lease starts with fresh pages (<see cref="Identification"/>) and takes its contents with it: nothing of it is seen
/// by the next holder of the range.
/// </remarks>
public sealed class SimulatedBarDevice : IBarDevice
{
    /// <summary>What the 32-bit register at the start of every page of a new lease reads; the one after it has the page's number in the BAR.</summary>
    public const uint Identification = 0x00b1_2b0c;

    /// <summary>
    /// A truncation takes microseconds, unless the holder of a read-write lease sits on the inode's lock, as one can with
    /// a write(2) from memory whose page fault never ends (FUSE, userfaultfd).
    /// </summary>
    internal static readonly TimeSpan RevokeTimeout = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Dictionary<LeaseId, SimulatedLease> _leases = [];
    private readonly TimeProvider _time;
    private bool _disposed;

    /// <param name="name">The device's name in the policy.</param>
    /// <param name="bars">The size in bytes of each BAR by its index, 0 to 5; multiples of <see cref="BarRange.PageSize"/>.</param>
    /// <param name="time">The clock that bounds <see cref="RevokeAsync"/>.</param>
    /// <exception cref="ArgumentException">An index or a size can't be right.</exception>
    public SimulatedBarDevice(string name, IEnumerable<KeyValuePair<int, ulong>> bars, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Name = name;
        _time = time ?? TimeProvider.System;
        Bars = [.. bars.OrderBy(bar => bar.Key).Select(bar => ToGeometry(name, bar.Key, bar.Value))];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public PciAddress? Address => null;

    /// <inheritdoc/>
    public ImmutableArray<BarGeometry> Bars { get; }

    /// <inheritdoc/>
    public bool CanOverlap => false;

    /// <inheritdoc/>
    public int MaxRanges => RangeList.MaxCount;

    /// <summary>A simulated device stays.</summary>
    public CancellationToken Gone => CancellationToken.None;

    /// <summary>Takes the memory of a descriptor away; tests block it or let it fail.</summary>
    internal Action<OwnedDescriptor> Truncate { get; init; } = descriptor => Files.Truncate(descriptor, 0);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The ranges are none, of several BARs or out of bounds, <paramref name="id"/> is live, or a peer-to-peer lease was asked for.</exception>
    /// <exception cref="ObjectDisposedException">The device was closed.</exception>
    public Task<ExportedLease> ExportAsync(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options)
    {
        ExportCheck.ThrowIfImpossible(Bars, ranges, options);
        if (options.P2P)
        {
            throw new ArgumentException($"Device '{Name}' is simulated: its memory is no DMABUF, and no driver can attach to it.", nameof(options));
        }

        // Filling a large range takes its time.
        return Task.Run(() => Export(id, ranges, options.Access));
    }

    /// <inheritdoc/>
    public MemoryType? MemoryTypeFor(MemoryType wanted) => MemoryType.Cached;

    /// <inheritdoc/>
    public async Task RevokeAsync(ImmutableArray<LeaseId> ids)
    {
        List<Task> endings = [];
        lock (_lock)
        {
            foreach (LeaseId id in ids)
            {
                if (_leases.TryGetValue(id, out SimulatedLease? lease))
                {
                    endings.Add(lease.EndAsync(Truncate));
                }
            }
        }

        Exception? failure = null;
        try
        {
            await Task.WhenAll(endings).WaitAsync(RevokeTimeout, _time);
        }
        catch (Exception exception) when (exception is TimeoutException or UnixException)
        {
            failure = exception;
        }

        // The last of them may have ended just now.
        ImmutableArray<LeaseId> left = Forget(ids);
        if (!left.IsEmpty)
        {
            throw new RevocationUnconfirmedException(Name, left, failure);
        }
    }

    /// <summary>Ends all leases.</summary>
    /// <exception cref="RevocationUnconfirmedException">Not all of them could be; they will be as soon as their holders let go.</exception>
    public async ValueTask DisposeAsync()
    {
        ImmutableArray<LeaseId> all;
        lock (_lock)
        {
            _disposed = true;
            all = [.. _leases.Keys];
        }

        await RevokeAsync(all);
    }

    private static BarGeometry ToGeometry(string device, int index, ulong size)
    {
        if (index is < 0 or > 5)
        {
            throw new ArgumentException($"Device '{device}' has a BAR {index}: BARs are numbered 0 to 5.");
        }

        if (size == 0 || size % BarRange.PageSize != 0 || size > long.MaxValue)
        {
            throw new ArgumentException($"Device '{device}', BAR {index}: a size of {size} is no multiple of {BarRange.PageSize} bytes from {BarRange.PageSize} up.");
        }

        return new BarGeometry(index, size, []);
    }

    private ExportedLease Export(LeaseId id, ImmutableArray<BarRange> ranges, LeaseAccess access)
    {
        SimulatedLease lease = SimulatedLease.Create(Name, ranges, access, out OwnedDescriptor forHolder);
        lock (_lock)
        {
            if (!_disposed && _leases.TryAdd(id, lease))
            {
                return new ExportedLease(forHolder, MemoryType.Cached);
            }
        }

        // Nobody has seen it: closing is enough.
        forHolder.Dispose();
        lease.Dispose();
        ObjectDisposedException.ThrowIf(_disposed, this);
        throw new ArgumentException($"Device '{Name}': lease {id} is live already.", nameof(id));
    }

    /// <summary>Lets go of those that have ended. Returns the others.</summary>
    private ImmutableArray<LeaseId> Forget(ImmutableArray<LeaseId> ids)
    {
        lock (_lock)
        {
            foreach (LeaseId id in ids)
            {
                if (_leases.TryGetValue(id, out SimulatedLease? lease) && lease.HasEnded)
                {
                    _leases.Remove(id);
                    lease.Dispose();
                }
            }

            return [.. ids.Where(_leases.ContainsKey)];
        }
    }
}
