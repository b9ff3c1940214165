using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>Which ranges of one device are taken, exclusively or shared.</summary>
internal sealed class DeviceLeases(IBarDevice device)
{
    private readonly Dictionary<int, BarLeases> _bars = device.Bars.ToDictionary(bar => bar.Index, _ => new BarLeases());

    public IBarDevice Device { get; } = device;

    /// <summary>Why its memory can't be reached for now, as the holders were told.</summary>
    public SuspendReason? Suspended { get; set; }

    /// <summary>A range that stands in the way of the request; null when none does.</summary>
    public HeldRange? FindConflict(LeaseRequest request)
    {
        BarLeases bar = _bars[request.Ranges.Bar];
        foreach (BarRange range in request.Ranges.Items)
        {
            if (FindConflict(bar, range, request) is { } held)
            {
                return held;
            }
        }

        return null;
    }

    public void Add(Lease lease)
    {
        RangeTree tree = TreeOf(lease);
        foreach (BarRange range in lease.Ranges.Items)
        {
            tree.Add(new HeldRange(lease, range));
        }
    }

    public void Remove(Lease lease)
    {
        RangeTree tree = TreeOf(lease);
        foreach (BarRange range in lease.Ranges.Items)
        {
            tree.Remove(new HeldRange(lease, range));
        }
    }

    /// <summary>
    /// Shared leases may overlap shared ones of their own memory type only: what two mappings of one page with different types do to
    /// each other is the processor's secret.
    /// </summary>
    private HeldRange? FindConflict(BarLeases bar, BarRange range, LeaseRequest request)
    {
        bool alone = request.Exclusive || !Device.CanOverlap;
        bool combining = request.Options.MemoryType == MemoryType.WriteCombining;
        return bar.Exclusive.FindOverlap(range)
            ?? (alone || combining ? bar.SharedUncached.FindOverlap(range) : null)
            ?? (alone || !combining ? bar.SharedWriteCombining.FindOverlap(range) : null);
    }

    private RangeTree TreeOf(Lease lease)
    {
        BarLeases bar = _bars[lease.Ranges.Bar];
        return (lease.Request.Exclusive, lease.Request.Options.MemoryType) switch
        {
            (true, _) => bar.Exclusive,
            (_, MemoryType.WriteCombining) => bar.SharedWriteCombining,
            _ => bar.SharedUncached,
        };
    }

    private sealed class BarLeases
    {
        public RangeTree Exclusive { get; } = new();

        public RangeTree SharedUncached { get; } = new();

        public RangeTree SharedWriteCombining { get; } = new();
    }
}
