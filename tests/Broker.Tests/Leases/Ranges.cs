using BarBroker.Devices;
using Xunit;

namespace BarBroker.Tests.Leases;

/// <summary>Ranges in pages, for short tests.</summary>
internal static class Ranges
{
    public static BarRange Of(int bar, ulong page, ulong pages)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(bar, page * BarRange.PageSize, pages * BarRange.PageSize, out BarRange range));
        return range;
    }

    public static RangeList List(params BarRange[] ranges)
    {
        Assert.Equal(RangeListError.None, RangeList.TryCreate([.. ranges], out RangeList? list, out _));
        return list!;
    }
}
