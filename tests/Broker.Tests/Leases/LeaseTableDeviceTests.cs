using BarBroker.Devices;
using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

/// <summary>Devices that are suspended, go away and return.</summary>
public sealed class LeaseTableDeviceTests : LeaseTableTest
{
    private readonly FakeConnection _holder = new(1);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Holders_of_a_device_hear_of_its_suspension_and_others_do_not()
    {
        await AcquireAsync(_holder);
        FakeConnection other = new(2);
        using LeaseFeed feed = Table.Watch(_holder);
        using LeaseFeed otherFeed = Table.Watch(other);
        await using IAsyncEnumerator<LeaseEvent> events = Read(feed);
        await using IAsyncEnumerator<LeaseEvent> otherEvents = Read(otherFeed);
        await NextAsync(events);
        await NextAsync(otherEvents);

        Device.Suspend(SuspendReason.LowPower);
        Device.Resume(wasReset: true);

        Assert.Equal(new DeviceSuspendedEvent("dev0", SuspendReason.LowPower), await NextAsync(events));
        Assert.Equal(new DeviceResumedEvent("dev0", true), await NextAsync(events));
        AcquiredLease lease = await AcquireAsync(other, page: 9);
        await Table.RevokeAsync(lease.Lease.Id);
        Assert.IsType<LeaseEndedEvent>(await NextAsync(otherEvents));
    }

    [Fact]
    public async Task A_snapshot_names_the_suspended_devices_of_its_leases_once()
    {
        await AcquireAsync(_holder, page: 0);
        await AcquireAsync(_holder, page: 1);
        Device.Suspend();
        using LeaseFeed feed = Table.Watch(_holder);
        await using IAsyncEnumerator<LeaseEvent> events = Read(feed);

        LeaseSnapshot snapshot = Assert.IsType<LeaseSnapshot>(await NextAsync(events));

        Assert.Equal([new DeviceSuspendedEvent("dev0", SuspendReason.MemoryOff)], snapshot.Suspended);
        Device.Resume();
        Assert.Equal(new DeviceResumedEvent("dev0", false), await NextAsync(events));
    }

    [Fact]
    public async Task Who_gets_a_lease_while_the_device_is_being_suspended_is_told()
    {
        using LeaseFeed feed = Table.Watch(_holder);
        await using IAsyncEnumerator<LeaseEvent> events = Read(feed);
        await NextAsync(events);
        Device.ExportDone.Close();
        Task<AcquiredLease> acquire = AcquireAsync(_holder);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();

        Device.Suspend();
        export.SetResult();
        await acquire;

        Assert.Equal(new DeviceSuspendedEvent("dev0", SuspendReason.MemoryOff), await NextAsync(events));
    }

    [Fact]
    public async Task Who_was_told_of_a_suspension_is_told_of_its_end_without_a_lease_too()
    {
        AcquiredLease lease = await AcquireAsync(_holder);
        using LeaseFeed feed = Table.Watch(_holder);
        await using IAsyncEnumerator<LeaseEvent> events = Read(feed);
        await NextAsync(events);
        Device.Suspend();
        await Table.ReleaseAsync(_holder, lease.Lease.Id);
        Device.Resume();

        Assert.IsType<DeviceSuspendedEvent>(await NextAsync(events));
        Assert.IsType<LeaseEndedEvent>(await NextAsync(events));
        Assert.Equal(new DeviceResumedEvent("dev0", false), await NextAsync(events));
    }

    [Fact]
    public async Task A_stuck_device_is_not_even_asked()
    {
        Device.Become(condition => condition with { StuckIn = "reset" });

        Assert.Equal(LeaseRefusal.DeviceStuck, await RefusalAsync(_holder));

        Assert.Empty(Device.Exports);
        Device.Become(_ => DeviceCondition.Serving);
        await AcquireAsync(_holder);
    }

    [Fact]
    public async Task Leases_of_a_device_that_is_gone_end_and_the_one_that_takes_its_place_is_free()
    {
        await AcquireAsync(_holder);
        Device.GoAway();
        await Table.RetireAsync(Device);
        Assert.Equal(LeaseRefusal.DeviceGone, await RefusalAsync(_holder));
        FakeBarDevice old = Device;

        await using FakeBarDevice next = new();
        Table.Attach(next);
        Assert.Equal(LeaseRefusal.DeviceGone, await RefusalAsync(_holder));
        Device = next;

        await AcquireAsync(_holder);
        Assert.Empty(old.Reachable);
        Device = old;
        Assert.All(next.Descriptors, descriptor => Assert.True(descriptor.IsClosed));
    }

    [Fact]
    public async Task A_suspension_that_the_device_took_along_is_over_when_it_returns()
    {
        await AcquireAsync(_holder);
        using LeaseFeed feed = Table.Watch(_holder);
        await using IAsyncEnumerator<LeaseEvent> events = Read(feed);
        await NextAsync(events);
        Device.Suspend();
        Device.GoAway();
        await Table.RetireAsync(Device);
        await using FakeBarDevice next = new();

        Table.Attach(next);

        Assert.IsType<DeviceSuspendedEvent>(await NextAsync(events));
        Assert.Equal(EndReason.DeviceGone, Assert.IsType<LeaseEndedEvent>(await NextAsync(events)).Reason);
        Assert.Equal(new DeviceResumedEvent("dev0", true), await NextAsync(events));
    }

    [Fact]
    public async Task What_a_closed_device_had_quarantined_is_over()
    {
        await AcquireAsync(_holder);
        Device.RevokeFails = _ => true;
        Device.GoAway();
        await Table.RetireAsync(Device);
        Assert.Equal(LeaseState.Quarantined, Assert.Single(List()).State);

        Table.SettleClosed(Device);

        Assert.Empty(List());
        Assert.Equal(0, Table.CountQuarantined(Device));
    }

    [Fact]
    public async Task A_lease_whose_end_is_under_way_is_not_settled_by_closing()
    {
        AcquiredLease lease = await AcquireAsync(_holder);
        Device.RevokeCalled.Close();
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id);
        TaskCompletionSource call = await Device.RevokeCalled.ArrivalAsync();

        Table.SettleClosed(Device);

        Assert.Equal(LeaseState.Ending, Assert.Single(List()).State);
        call.SetResult();
        Assert.Equal([lease.Lease.Id], (await revoke)!.Ended);
    }

    [Fact]
    public async Task Quarantine_is_told_when_it_begins_and_when_a_retry_ends_it_and_not_for_ordinary_ends()
    {
        List<int> counts = [];
        Table.QuarantineChanged += device => counts.Add(Table.CountQuarantined(device));
        AcquiredLease ordinary = await AcquireAsync(_holder, page: 1);
        await Table.RevokeAsync(ordinary.Lease.Id);
        Assert.Empty(counts);

        AcquiredLease lease = await AcquireAsync(_holder);
        Device.RevokeFails = _ => true;
        Assert.Equal([lease.Lease.Id], (await Table.RevokeAsync(lease.Lease.Id))!.Unconfirmed);
        await Table.RetryQuarantinedAsync(Device);
        Device.RevokeFails = _ => false;
        await Table.RetryQuarantinedAsync(Device);

        Assert.Equal([1, 1, 0], counts);
        Assert.Empty(List());
    }

    private static IAsyncEnumerator<LeaseEvent> Read(LeaseFeed feed) => feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
}
