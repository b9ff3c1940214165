using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>Which ranges of one device are taken, exclusively or shared.</summary>
internal sealed class DeviceLeases(IBarDevice device)
{
    private readonly Dictionary<int, (RangeTree Exclusive, RangeTree Shared)> _bars = device.Bars.ToDictionary(bar => bar.Index, _ => (new RangeTree(), new RangeTree()));

    public IBarDevice Device { get; } = device;

    /// <summary>Why its memory can't be reached for now, as the holders were told.</summary>
    public SuspendReason? Suspended { get; set; }

    /// <summary>A lease that stands in the way; null when none does.</summary>
    public Lease? FindConflict(BarRange range, bool exclusive)
    {
        (RangeTree exclusives, RangeTree shared) = _bars[range.Bar];
        return exclusives.FindOverlap(range)
            ?? (exclusive || !Device.CanOverlap ? shared.FindOverlap(range) : null);
    }

    public void Add(Lease lease) => TreeOf(lease).Add(lease);

    public void Remove(Lease lease) => TreeOf(lease).Remove(lease);

    private RangeTree TreeOf(Lease lease)
    {
        (RangeTree exclusive, RangeTree shared) = _bars[lease.Range.Bar];
        return lease.Request.Exclusive ? exclusive : shared;
    }
}
