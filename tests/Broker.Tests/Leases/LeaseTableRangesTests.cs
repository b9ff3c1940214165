using BarBroker.Devices;
using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class LeaseTableRangesTests : LeaseTableTest
{
    [Fact]
    public async Task A_lease_takes_each_of_its_ranges_and_what_lies_between_is_free()
    {
        AcquiredLease lease = await AcquireAsync(new FakeConnection(1), Several(8, 0, 4));

        Assert.Equal("BAR 0 0x8000+0x1000, 0x0+0x1000, 0x4000+0x1000", lease.Lease.Ranges.ToString());
        FakeConnection other = new(2);
        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(other, page: 0));
        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(other, page: 3, pages: 2));
        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(other, page: 8));
        await AcquireAsync(other, page: 1, pages: 3);
        await AcquireAsync(other, page: 5, pages: 3);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(8)]
    public async Task When_one_of_its_ranges_is_taken_none_is_reserved(ulong taken)
    {
        FakeConnection first = new(1);
        AcquiredLease lease = await AcquireAsync(first, page: taken);

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(first, Several(0, 4, 8)));
        Assert.Equal(
            $"BAR 0 0x0+0x1000, 0x4000+0x1000, 0x8000+0x1000 of device 'dev0' is taken, all or in part: this connection holds {lease.Lease.Ranges} as lease 1. Release that first.",
            refused.Message);

        await Table.ReleaseAsync(first, lease.Lease.Id);
        await AcquireAsync(new FakeConnection(2), page: 0, pages: 9);
    }

    [Fact]
    public async Task All_its_ranges_are_free_after_its_end()
    {
        FakeConnection connection = new();
        AcquiredLease lease = await AcquireAsync(connection, Several(0, 4, 8));

        await Table.ReleaseAsync(connection, lease.Lease.Id);

        await AcquireAsync(connection, page: 0, pages: 9);
    }

    [Fact]
    public async Task All_its_ranges_are_free_after_a_failed_export()
    {
        Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
        FakeConnection connection = new();
        await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(connection, Several(0, 4, 8)));

        await AcquireAsync(connection, page: 0, pages: 9);
    }

    [Fact]
    public async Task All_its_ranges_are_held_back_while_its_end_is_not_confirmed()
    {
        FakeConnection connection = new();
        AcquiredLease lease = await AcquireAsync(connection, Several(0, 4, 8));
        Device.RevokeFails = _ => true;
        await Table.ReleaseAsync(connection, lease.Lease.Id);

        foreach (ulong page in (ulong[])[0, 4, 8])
        {
            Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(new FakeConnection(2), page));
        }
    }

    [Theory]
    [InlineData(MemoryType.Uncached, MemoryType.Uncached, true, true)]
    [InlineData(MemoryType.WriteCombining, MemoryType.WriteCombining, true, true)]
    [InlineData(MemoryType.Uncached, MemoryType.WriteCombining, true, false)]
    [InlineData(MemoryType.WriteCombining, MemoryType.Uncached, true, false)]
    [InlineData(MemoryType.WriteCombining, MemoryType.WriteCombining, false, false)]
    public async Task Shared_leases_of_a_page_are_of_one_memory_type(MemoryType first, MemoryType second, bool canOverlap, bool expected)
    {
        Device = new FakeBarDevice(canOverlap: canOverlap);
        await AcquireAsync(new FakeConnection(1), Several(0, 4) with { Exclusive = false, Options = new ExportOptions(LeaseAccess.ReadWrite, first) });
        LeaseRequest overlapping = Several(4, 8) with { Exclusive = false, Options = new ExportOptions(LeaseAccess.ReadOnly, second) };

        if (expected)
        {
            Assert.Equal(second, (await AcquireAsync(new FakeConnection(2), overlapping)).Lease.MemoryType);
            return;
        }

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(new FakeConnection(2), overlapping));
        Assert.Equal(LeaseRefusal.RangeLeased, refused.Refusal);
        Assert.Contains(first == second ? "this device can't share memory" : $"holds it with memory type {first}, this one would have {second}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exclusive_lease_overlaps_no_shared_one_of_either_memory_type()
    {
        Device = new FakeBarDevice(canOverlap: true);
        await AcquireAsync(new FakeConnection(1), Several(0) with { Exclusive = false });
        await AcquireAsync(new FakeConnection(1), Several(4) with { Exclusive = false, Options = new ExportOptions(LeaseAccess.ReadWrite, MemoryType.WriteCombining) });

        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(new FakeConnection(2), page: 0));
        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(new FakeConnection(2), page: 4));
    }

    [Fact]
    public async Task A_memory_type_that_can_not_be_had_is_refused_as_such_and_frees_the_ranges()
    {
        Device.ExportFailures.Enqueue(new MemoryTypeUnavailableException("dev0", "there is none."));
        FakeConnection connection = new();

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(connection, Several(0, 4)));

        Assert.Equal((LeaseRefusal.MemoryTypeUnavailable, "Device 'dev0' can't be mapped write-combining: there is none."), (refused.Refusal, refused.Message));
        await AcquireAsync(connection, page: 0, pages: 5);
    }

    private LeaseRequest Several(params ulong[] pages)
        => new(Device, null, Ranges.List([.. pages.Select(page => Ranges.Of(0, page, 1))]), ExportOptions.ReadWrite, Exclusive: true);

    private Task<AcquiredLease> AcquireAsync(FakeConnection connection, LeaseRequest request) => Table.AcquireAsync(connection, request, CancellationToken.None);
}
