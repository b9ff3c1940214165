using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>What every device asks of an export before it makes one.</summary>
internal static class ExportCheck
{
    /// <exception cref="ArgumentException">The ranges are none, of several BARs, of a BAR that can't be mapped, out of its bounds, or reserved; or the options contradict each other.</exception>
    public static void ThrowIfImpossible(ImmutableArray<BarGeometry> bars, ImmutableArray<BarRange> ranges, ExportOptions options)
    {
        if (ranges.IsDefaultOrEmpty)
        {
            throw new ArgumentException("A lease has at least one range.", nameof(ranges));
        }

        BarGeometry bar = bars.FirstOrDefault(bar => bar.Index == ranges[0].Bar)
            ?? throw new ArgumentException($"{ranges[0]}: the device has no such BAR that can be mapped.", nameof(ranges));
        foreach (BarRange range in ranges)
        {
            ThrowIfNotLeasable(bar, range);
        }

        if (options.MemoryType is not (MemoryType.Uncached or MemoryType.WriteCombining))
        {
            throw new ArgumentException($"{options.MemoryType} is no memory type to ask for.", nameof(options));
        }

        if (options.P2P && (options.Access != LeaseAccess.ReadWrite || ranges.Length > 1))
        {
            throw new ArgumentException("A peer-to-peer lease is read-write, and has one range.", nameof(options));
        }
    }

    private static void ThrowIfNotLeasable(BarGeometry bar, BarRange range)
    {
        if (range.Bar != bar.Index)
        {
            throw new ArgumentException($"{range} is not in BAR {bar.Index}: the ranges of a lease are of one BAR.", nameof(range));
        }

        if (range.Length == 0 || range.End > bar.Size)
        {
            throw new ArgumentException($"{range} is not within the BAR's 0x{bar.Size:x} bytes.", nameof(range));
        }

        foreach (BarRange reserved in bar.Reserved)
        {
            if (reserved.Overlaps(range))
            {
                throw new ArgumentException($"{range} overlaps {reserved}, where the device's MSI-X structures are.", nameof(range));
            }
        }
    }
}
