using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>
/// The ranges of a lease, in the order in which it presents them as one contiguous space. At least one, of one BAR, and no two share a byte, by
/// construction.
/// </summary>
public sealed class RangeList : IEquatable<RangeList>
{
    /// <summary>How many the wire's contract and the kernel module allow: with 4 KiB pages, doorbells of as many queues.</summary>
    public const int MaxCount = 64;

    private RangeList(ImmutableArray<BarRange> items)
    {
        Items = items;
    }

    /// <summary>One after the other.</summary>
    public ImmutableArray<BarRange> Items { get; }

    /// <summary>Base address register, 0 to 5.</summary>
    public int Bar => Items[0].Bar;

    /// <summary>How many there are.</summary>
    public int Count => Items.Length;

    /// <summary>All of them together. No two share a byte, so 64 bits hold it.</summary>
    public ulong Bytes => Items.Aggregate(0UL, (sum, range) => sum + range.Length);

    /// <summary>Makes a list, or says what is wrong with it.</summary>
    /// <param name="ranges">The ranges, in order.</param>
    /// <param name="list">The list; null when there is an error.</param>
    /// <param name="culprit">The index of the first range that is of another BAR or overlaps an earlier one.</param>
    public static RangeListError TryCreate(ImmutableArray<BarRange> ranges, out RangeList? list, out int culprit)
    {
        list = null;
        culprit = 0;
        if (ranges.Length is 0 or > MaxCount)
        {
            return RangeListError.Count;
        }

        // A few thousand comparisons at most.
        for (culprit = 1; culprit < ranges.Length; culprit++)
        {
            BarRange range = ranges[culprit];
            if (range.Bar != ranges[0].Bar)
            {
                return RangeListError.SeveralBars;
            }

            if (ranges.Take(culprit).Any(range.Overlaps))
            {
                return RangeListError.Overlap;
            }
        }

        list = new RangeList(ranges);
        return RangeListError.None;
    }

    /// <summary>A list of one.</summary>
    public static RangeList Of(BarRange range) => new([range]);

    /// <inheritdoc/>
    public bool Equals(RangeList? other) => other is not null && Items.AsSpan().SequenceEqual(other.Items.AsSpan());

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as RangeList);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Items[0], Count);

    /// <summary>Such as <c>BAR 2 0x0+0x1000, 0x4000+0x2000</c>.</summary>
    public override string ToString() => $"BAR {Bar} {string.Join(", ", Items.Select(range => $"0x{range.Offset:x}+0x{range.Length:x}"))}";
}

/// <summary>Why ranges are no <see cref="RangeList"/>.</summary>
public enum RangeListError
{
    /// <summary>They are one.</summary>
    None,

    /// <summary>There are none, or more than <see cref="RangeList.MaxCount"/>.</summary>
    Count,

    /// <summary>They are not all of one BAR.</summary>
    SeveralBars,

    /// <summary>Two of them share a byte.</summary>
    Overlap,
}
