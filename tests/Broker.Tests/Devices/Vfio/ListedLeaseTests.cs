using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class ListedLeaseTests
{
    private static readonly BarLeaseRange[] Ranges =
    [
        new() { Offset = 0x1000, Length = 0x1000 },
        new() { Offset = 0x8000, Length = 0x2000 },
        new() { Offset = 0x4000, Length = 0x1000 },
    ];

    [Fact]
    public void A_lease_takes_its_own_ranges_out_of_the_listings()
    {
        BarLeaseEntry entry = new()
        {
            LeaseId = 42,
            PciDomain = 1,
            PciBus = 0x3a,
            PciDevfn = (0x1f << 3) | 5,
            Bar = 2,
            Flags = BarLeaseUapi.ExportReadOnly,
            MemoryType = BarLeaseUapi.MemoryWriteCombining,
            State = BarLeaseUapi.StateRevoking,
            FirstRange = 1,
            NrRanges = 2,
        };

        ListedLease lease = LeaseSession.ToListedLease(entry, Ranges);

        Assert.Equal(new LeaseId(42), lease.Id);
        Assert.Equal(new PciAddress(1, 0x3a, 0x1f, 5), lease.Address);
        Assert.Equal(new ExportOptions(LeaseAccess.ReadOnly, MemoryType.WriteCombining), lease.Options);
        Assert.Equal(ListedLeaseState.Revoking, lease.State);
        Assert.Equal(["BAR 2 0x8000+0x2000", "BAR 2 0x4000+0x1000"], lease.Ranges.Select(range => range.ToString()));
    }

    [Theory]
    [InlineData(0, 1, LeaseAccess.ReadWrite, MemoryType.Uncached, false)]
    [InlineData(1, 1, LeaseAccess.ReadOnly, MemoryType.Uncached, false)]
    [InlineData(2, 2, LeaseAccess.ReadWrite, MemoryType.WriteCombining, true)]
    public void A_lease_is_listed_with_what_it_was_exported_with(uint flags, uint memoryType, LeaseAccess access, MemoryType expected, bool p2p)
    {
        BarLeaseEntry entry = new() { LeaseId = 42, NrRanges = 1, Flags = flags, MemoryType = memoryType };

        Assert.Equal(new ExportOptions(access, expected, p2p), LeaseSession.ToListedLease(entry, Ranges).Options);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void A_memory_type_that_can_not_be_is_not_believed(uint memoryType)
    {
        BarLeaseEntry entry = new() { LeaseId = 42, NrRanges = 1, MemoryType = memoryType };

        Assert.Throws<InvalidDataException>(() => LeaseSession.ToListedLease(entry, Ranges));
    }

    [Fact]
    public void A_range_that_can_not_be_is_not_believed()
    {
        BarLeaseEntry entry = new() { LeaseId = 42, NrRanges = 1, MemoryType = BarLeaseUapi.MemoryUncached };

        Assert.Throws<InvalidDataException>(() => LeaseSession.ToListedLease(entry, [new BarLeaseRange { Offset = 0x800, Length = 0x1000 }]));
    }
}
