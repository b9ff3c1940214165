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
            State = BarLeaseUapi.StateRevoking,
            FirstRange = 1,
            NrRanges = 2,
        };

        ListedLease lease = LeaseSession.ToListedLease(entry, Ranges);

        Assert.Equal(new LeaseId(42), lease.Id);
        Assert.Equal(new PciAddress(1, 0x3a, 0x1f, 5), lease.Address);
        Assert.Equal(LeaseAccess.ReadOnly, lease.Access);
        Assert.Equal(ListedLeaseState.Revoking, lease.State);
        Assert.Equal(["BAR 2 0x8000+0x2000", "BAR 2 0x4000+0x1000"], lease.Ranges.Select(range => range.ToString()));
    }

    [Fact]
    public void A_range_that_can_not_be_is_not_believed()
    {
        BarLeaseEntry entry = new() { LeaseId = 42, NrRanges = 1 };

        Assert.Throws<InvalidDataException>(() => LeaseSession.ToListedLease(entry, [new BarLeaseRange { Offset = 0x800, Length = 0x1000 }]));
    }
}
