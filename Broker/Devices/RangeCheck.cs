using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>What every device asks of ranges before it exports them.</summary>
internal static class RangeCheck
{
    /// <exception cref="ArgumentException">The ranges are none, of several BARs, of a BAR that can't be mapped, out of its bounds, or reserved.</exception>
    public static void ThrowIfNotLeasable(ImmutableArray<BarGeometry> bars, ImmutableArray<BarRange> ranges)
    {
        if (ranges.IsDefaultOrEmpty)
        {
            throw new ArgumentException("A lease has at least one range.", nameof(ranges));
        }

        BarGeometry bar = bars.FirstOrDefault(bar => bar.Index == ranges[0].Bar)
            ?? throw new ArgumentException($"{ranges[0]}: the device has no such BAR that can be mapped.", nameof(ranges));
        foreach (BarRange range in ranges)
        {
            if (range.Bar != bar.Index)
            {
                throw new ArgumentException($"{range} is not in BAR {bar.Index}: the ranges of a lease are of one BAR.", nameof(ranges));
            }

            if (range.Length == 0 || range.End > bar.Size)
            {
                throw new ArgumentException($"{range} is not within the BAR's 0x{bar.Size:x} bytes.", nameof(ranges));
            }

            foreach (BarRange reserved in bar.Reserved)
            {
                if (reserved.Overlaps(range))
                {
                    throw new ArgumentException($"{range} overlaps {reserved}, where the device's MSI-X structures are.", nameof(ranges));
                }
            }
        }
    }
}
