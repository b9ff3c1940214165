using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Tests.Leases;
using Xunit;

namespace BarBroker.Tests.Devices;

public sealed class RangeListTests
{
    [Theory]
    [InlineData(0, RangeListError.Count)]
    [InlineData(1, RangeListError.None)]
    [InlineData(64, RangeListError.None)]
    [InlineData(65, RangeListError.Count)]
    public void A_list_has_1_to_64_ranges(int count, RangeListError expected)
    {
        ImmutableArray<BarRange> ranges = [.. Enumerable.Range(0, count).Select(i => Ranges.Of(0, (ulong)(2 * i), 1))];

        Assert.Equal(expected, RangeList.TryCreate(ranges, out RangeList? list, out _));
        Assert.Equal(expected == RangeListError.None ? count : null, list?.Count);
    }

    [Fact]
    public void The_order_is_the_callers_and_neighbours_do_not_overlap()
    {
        RangeList list = Ranges.List(Ranges.Of(2, 8, 2), Ranges.Of(2, 0, 1), Ranges.Of(2, 10, 1), Ranges.Of(2, 7, 1));

        Assert.Equal("BAR 2 0x8000+0x2000, 0x0+0x1000, 0xa000+0x1000, 0x7000+0x1000", list.ToString());
        Assert.Equal(2, list.Bar);
    }

    [Theory]
    [InlineData(8, 2)]
    [InlineData(9, 1)]
    [InlineData(7, 2)]
    [InlineData(9, 2)]
    [InlineData(0, 20)]
    public void Ranges_that_share_a_byte_are_refused_and_the_later_one_is_named(ulong page, ulong pages)
    {
        ImmutableArray<BarRange> ranges = [Ranges.Of(0, 20, 1), Ranges.Of(0, 8, 2), Ranges.Of(0, 30, 1), Ranges.Of(0, page, pages), Ranges.Of(0, 20, 1)];

        Assert.Equal(RangeListError.Overlap, RangeList.TryCreate(ranges, out RangeList? list, out int culprit));
        Assert.Null(list);
        Assert.Equal(3, culprit);
    }

    [Fact]
    public void Ranges_of_two_BARs_are_no_list()
    {
        Assert.Equal(RangeListError.SeveralBars, RangeList.TryCreate([Ranges.Of(0, 0, 1), Ranges.Of(2, 4, 1)], out _, out int culprit));
        Assert.Equal(1, culprit);
    }

    [Fact]
    public void Lists_are_equal_by_their_ranges_and_their_order()
    {
        RangeList list = Ranges.List(Ranges.Of(0, 0, 1), Ranges.Of(0, 4, 1));

        Assert.Equal(list, Ranges.List(Ranges.Of(0, 0, 1), Ranges.Of(0, 4, 1)));
        Assert.Equal(list.GetHashCode(), Ranges.List(Ranges.Of(0, 0, 1), Ranges.Of(0, 4, 1)).GetHashCode());
        Assert.NotEqual(list, Ranges.List(Ranges.Of(0, 4, 1), Ranges.Of(0, 0, 1)));
        Assert.NotEqual(list, RangeList.Of(Ranges.Of(0, 0, 1)));
    }
}
