using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class LeaseFeedTests : LeaseTableTest
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_snapshot_of_the_connections_own_leases_comes_first()
    {
        FakeConnection connection = new(1);
        AcquiredLease own = await AcquireAsync(connection, page: 0);
        await AcquireAsync(new FakeConnection(2), page: 1);

        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);

        Assert.Equal([own.Lease.Id], Assert.IsType<LeaseSnapshot>(await NextAsync(events)).Leases.Select(lease => lease.Id));
    }

    [Fact]
    public async Task A_lease_that_is_still_being_made_is_in_no_snapshot()
    {
        FakeConnection connection = new();
        Device.ExportDone.Close();
        Task<AcquiredLease> acquire = AcquireAsync(connection);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();

        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);

        Assert.Empty(Assert.IsType<LeaseSnapshot>(await NextAsync(events)).Leases);
        export.SetResult();
        await acquire;
    }

    [Fact]
    public async Task A_lease_whose_end_is_under_way_is_in_the_snapshot_and_its_end_follows()
    {
        FakeConnection connection = new();
        AcquiredLease lease = await AcquireAsync(connection);
        Device.RevokeCalled.Close();
        Task<EndResult> revoke = Table.RevokeAsync(_ => true);
        TaskCompletionSource call = await Device.RevokeCalled.ArrivalAsync();

        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);

        Assert.Equal(LeaseState.Ending, Assert.Single(Assert.IsType<LeaseSnapshot>(await NextAsync(events)).Leases).State);
        call.SetResult();
        await revoke;
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Revoked, true), await NextAsync(events));
    }

    [Fact]
    public async Task A_watcher_that_is_too_slow_gets_a_new_snapshot_and_then_events_again()
    {
        Limits = new LeaseLimits { EventsPerWatch = 2 };
        FakeConnection connection = new();
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        await NextAsync(events);
        for (ulong page = 0; page < 5; page++)
        {
            await AcquireAsync(connection, page);
        }

        for (ulong id = 1; id <= 3; id++)
        {
            await Table.RevokeAsync(new BarBroker.Devices.LeaseId(id));
        }

        Assert.Equal([4UL, 5UL], Assert.IsType<LeaseSnapshot>(await NextAsync(events)).Leases.Select(lease => lease.Id.Value));
        await Table.RevokeAsync(new BarBroker.Devices.LeaseId(4));
        Assert.Equal(4UL, Assert.IsType<LeaseEndedEvent>(await NextAsync(events)).Id.Value);
    }

    [Fact]
    public async Task As_many_events_as_fit_are_not_lost()
    {
        Limits = new LeaseLimits { EventsPerWatch = 2 };
        FakeConnection connection = new();
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        await NextAsync(events);
        await AcquireAsync(connection, page: 0);
        await AcquireAsync(connection, page: 1);

        await Table.RevokeAsync(_ => true);

        Assert.Equal(1UL, Assert.IsType<LeaseEndedEvent>(await NextAsync(events)).Id.Value);
        Assert.Equal(2UL, Assert.IsType<LeaseEndedEvent>(await NextAsync(events)).Id.Value);
    }

    [Fact]
    public async Task A_reader_that_waits_wakes_up_for_an_event()
    {
        FakeConnection connection = new();
        AcquiredLease lease = await AcquireAsync(connection);
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        await NextAsync(events);
        Task<LeaseEvent> next = NextAsync(events);
        Assert.False(next.IsCompleted);

        await Table.ReleaseAsync(connection, lease.Lease.Id);

        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Released, true), await next);
    }

    [Fact]
    public async Task A_connection_has_one_watcher_at_a_time()
    {
        FakeConnection connection = new();
        using (Table.Watch(connection))
        {
            Assert.Equal(LeaseRefusal.WatchExists, Assert.Throws<LeaseRefusedException>(() => Table.Watch(connection)).Refusal);
            Table.Watch(new FakeConnection(2)).Dispose();
        }

        using LeaseFeed again = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = again.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        Assert.IsType<LeaseSnapshot>(await NextAsync(events));
    }

    [Fact]
    public async Task Shutdown_is_told_before_the_watch_ends_and_waits_for_the_watcher()
    {
        FakeConnection connection = new();
        AcquiredLease lease = await AcquireAsync(connection);
        LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        await NextAsync(events);

        (_, Task watchersLeft) = await Table.ShutdownAsync();

        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Shutdown, true), await NextAsync(events));
        Assert.False(await events.MoveNextAsync());
        Assert.False(watchersLeft.IsCompleted);
        feed.Dispose();
        await watchersLeft;
        Assert.Equal(LeaseRefusal.ShuttingDown, Assert.Throws<LeaseRefusedException>(() => Table.Watch(connection)).Refusal);
    }

    [Fact]
    public async Task A_watch_ends_with_its_connection()
    {
        FakeConnection connection = new();
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(Token).GetAsyncEnumerator(Token);
        await NextAsync(events);

        connection.Close();

        Assert.False(await events.MoveNextAsync());
    }
}
