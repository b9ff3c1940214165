using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class LeaseTableEndTests : LeaseTableTest
{
    [Fact]
    public async Task A_range_is_free_again_only_after_the_device_confirmed()
    {
        FakeConnection connection = new(1);
        AcquiredLease lease = await AcquireAsync(connection);
        Device.RevokeDone.Close();
        Task<EndResult?> release = Table.ReleaseAsync(connection, lease.Lease.Id);
        TaskCompletionSource revoke = await Device.RevokeDone.ArrivalAsync();

        Assert.Equal(LeaseState.Ending, Assert.Single(List()).State);
        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(new FakeConnection(2)));
        Assert.False(release.IsCompleted);

        revoke.SetResult();
        Assert.Equal([lease.Lease.Id], (await release)!.Ended);
        await AcquireAsync(new FakeConnection(2));
    }

    [Fact]
    public async Task Only_the_connection_that_holds_a_lease_can_release_it()
    {
        FakeConnection holder = new(1);
        AcquiredLease lease = await AcquireAsync(holder);

        Assert.Null(await Table.ReleaseAsync(new FakeConnection(2), lease.Lease.Id));
        Assert.NotNull(await Table.ReleaseAsync(holder, lease.Lease.Id));
        Assert.Null(await Table.ReleaseAsync(holder, lease.Lease.Id));
    }

    [Fact]
    public async Task Two_ends_at_once_are_one_end_with_the_first_reason()
    {
        FakeConnection connection = new();
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        AcquiredLease lease = await AcquireAsync(connection);
        await NextAsync(events);
        Device.RevokeCalled.Close();
        Task<EndResult> revoke = Table.RevokeAsync(_ => true);
        TaskCompletionSource call = await Device.RevokeCalled.ArrivalAsync();

        Task<EndResult?> release = Table.ReleaseAsync(connection, lease.Lease.Id);
        Assert.False(release.IsCompleted);
        call.SetResult();

        Assert.Equal([lease.Lease.Id], (await revoke).Ended);
        Assert.Empty((await release)!.Ended);
        Assert.Single(Device.Revokes);
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Revoked, true), await NextAsync(events));
    }

    [Fact]
    public async Task Revoking_many_is_one_call_to_the_device()
    {
        FakeConnection first = new(1);
        FakeConnection second = new(2);
        for (ulong page = 0; page < 50; page++)
        {
            await AcquireAsync(page % 2 == 0 ? first : second, page);
        }

        EndResult result = await Table.RevokeAsync(lease => lease.Holder.Connection == first);
        Assert.Equal(25, result.Ended.Length);
        Assert.Equal(25, Assert.Single(Device.Revokes).Length);

        await Table.RevokeAsync(_ => true);
        Assert.Equal(2, Device.Revokes.Count);
        Assert.Empty(List());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task All_leases_of_a_connection_end_with_it_in_one_call(bool processExits)
    {
        FakeConnection connection = new(1);
        await AcquireAsync(connection, page: 0);
        await AcquireAsync(connection, page: 1);
        await AcquireAsync(new FakeConnection(2), page: 2);
        Device.RevokeDone.Close();

        if (processExits)
        {
            connection.Exit();
            connection.Close();
        }
        else
        {
            connection.Close();
            connection.Exit();
        }

        (await Device.RevokeDone.ArrivalAsync()).SetResult();
        Device.RevokeDone.Open();
        Assert.Equal([1UL, 2UL], Assert.Single(Device.Revokes).Select(id => id.Value).Order());
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_device_that_goes_away_takes_its_leases_along_and_no_others()
    {
        FakeBarDevice other = new("dev1");
        LeaseTable table = new([Device, other], new LeaseLimits(), Time, Microsoft.Extensions.Logging.Abstractions.NullLogger<LeaseTable>.Instance);
        FakeConnection connection = new();
        using LeaseFeed feed = table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        AcquiredLease lost = await table.AcquireAsync(connection, Request(), CancellationToken.None);
        AcquiredLease kept = await table.AcquireAsync(connection, Request() with { Device = other }, CancellationToken.None);
        await NextAsync(events);

        Device.GoAway();

        Assert.Equal(new LeaseEndedEvent(lost.Lease.Id, EndReason.DeviceGone, true), await NextAsync(events));
        Assert.Equal([kept.Lease.Id], table.List(_ => true).Select(lease => lease.Id));
        Assert.Equal(2UL, kept.Lease.Id.Value);
        await table.ShutdownAsync();
        await other.DisposeAsync();
    }

    [Fact]
    public async Task A_lease_whose_end_is_not_confirmed_keeps_its_range_until_a_later_attempt_is()
    {
        FakeConnection connection = new(1);
        AcquiredLease lease = await AcquireAsync(connection);
        Device.RevokeFails = _ => true;

        Assert.Equal([lease.Lease.Id], (await Table.ReleaseAsync(connection, lease.Lease.Id))!.Unconfirmed);
        Assert.Equal(LeaseState.Quarantined, Assert.Single(List()).State);
        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(new FakeConnection(2)));
        Assert.Equal(LeaseRefusal.RangeLeased, refused.Refusal);
        Assert.Contains("held back", refused.Message, StringComparison.Ordinal);

        Device.RevokeFails = _ => false;
        Assert.Equal([lease.Lease.Id], (await Table.RevokeAsync(lease.Lease.Id))!.Ended);
        await AcquireAsync(new FakeConnection(2));
    }

    [Fact]
    public async Task An_unconfirmed_end_is_told_once_with_its_first_reason_and_its_doubt()
    {
        FakeConnection connection = new();
        using LeaseFeed feed = Table.Watch(connection);
        await using IAsyncEnumerator<LeaseEvent> events = feed.ReadAllAsync(TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        AcquiredLease lease = await AcquireAsync(connection);
        await NextAsync(events);
        Device.RevokeFails = _ => true;
        await Table.ReleaseAsync(connection, lease.Lease.Id);
        Device.RevokeFails = _ => false;
        await Table.RevokeAsync(lease.Lease.Id);
        await Table.ShutdownAsync();

        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Released, false), await NextAsync(events));
        Assert.False(await events.MoveNextAsync());
    }

    [Fact]
    public async Task An_attempt_that_fails_after_its_device_was_closed_leaves_nothing_quarantined()
    {
        FakeConnection connection = new(1);
        AcquiredLease lease = await AcquireAsync(connection);
        Device.RevokeFails = _ => true;
        Device.RevokeCalled.Close();
        Task<EndResult?> release = Table.ReleaseAsync(connection, lease.Lease.Id);
        TaskCompletionSource revoke = await Device.RevokeCalled.ArrivalAsync();

        Device.GiveBack();
        Table.SettleClosed(Device);
        revoke.SetResult();

        Assert.Equal([lease.Lease.Id], (await release)!.Ended);
        Assert.Empty(List());
    }

    [Fact]
    public async Task One_holder_that_resists_does_not_quarantine_the_leases_of_others()
    {
        AcquiredLease innocent = await AcquireAsync(new FakeConnection(1), page: 0);
        AcquiredLease hostile = await AcquireAsync(new FakeConnection(2), page: 1);
        Device.RevokeFails = id => id == hostile.Lease.Id;

        EndResult result = await Table.RevokeAsync(_ => true);

        Assert.Equal([innocent.Lease.Id], result.Ended);
        Assert.Equal([hostile.Lease.Id], result.Unconfirmed);
        Assert.Equal(hostile.Lease.Id, Assert.Single(List()).Id);
        Assert.Single(Device.Revokes);
        await AcquireAsync(new FakeConnection(3), page: 0);
    }

    [Fact]
    public async Task A_revocation_that_fails_without_a_word_confirms_nothing()
    {
        await AcquireAsync(new FakeConnection(1), page: 0);
        await AcquireAsync(new FakeConnection(2), page: 1);
        Device.RevokeFailure = new InvalidOperationException("a mistake");

        EndResult result = await Table.RevokeAsync(_ => true);

        Assert.Equal(2, result.Unconfirmed.Length);
        Assert.Single(Device.Revokes);
    }

    [Fact]
    public async Task An_export_that_hangs_does_not_hold_up_the_end_of_other_leases_for_ever()
    {
        AcquiredLease lease = await AcquireAsync(new FakeConnection(1), page: 0);
        Device.ExportCalled.Close();
        Task<AcquiredLease> acquire = AcquireAsync(new FakeConnection(2), page: 1);
        TaskCompletionSource export = await Device.ExportCalled.ArrivalAsync();

        Task<EndResult> revoke = Table.RevokeAsync(_ => true);
        Time.Advance(LeaseTable.BeingMadeLimit);

        EndResult result = await revoke.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal([lease.Lease.Id], result.Ended);
        Assert.Equal([2UL], result.Unconfirmed.Select(id => id.Value));
        export.SetResult();
        Assert.Equal(LeaseRefusal.Revoked, (await Assert.ThrowsAsync<LeaseRefusedException>(() => acquire)).Refusal);
        Assert.Empty(List());
    }

    [Fact]
    public async Task A_device_that_is_closed_while_it_exports_is_gone_to_the_one_who_asked()
    {
        Device.ExportFailures.Enqueue(new ObjectDisposedException("dev0"));

        Assert.Equal(LeaseRefusal.DeviceGone, await RefusalAsync(new FakeConnection(1)));
    }

    [Fact]
    public async Task A_lease_that_could_not_be_delivered_and_not_be_revoked_is_quarantined()
    {
        Device.RevokeFails = _ => true;

        Assert.Equal(LeaseRefusal.ConnectionEnded, await RefusalAsync(new FakeConnection(1) { OnQueue = () => throw new IOException() }));

        Assert.Equal(LeaseState.Quarantined, Assert.Single(List()).State);
    }

    [Fact]
    public async Task Shutdown_ends_everything_and_joins_ends_that_are_under_way()
    {
        FakeConnection closing = new(1);
        await AcquireAsync(closing, page: 0);
        await AcquireAsync(new FakeConnection(2), page: 1);
        Device.RevokeCalled.Close();
        closing.Close();
        TaskCompletionSource first = await Device.RevokeCalled.ArrivalAsync();

        Task<(EndResult Leases, Task WatchersLeft)> shutdown = Table.ShutdownAsync();
        (await Device.RevokeCalled.ArrivalAsync()).SetResult();
        Assert.False(shutdown.IsCompleted);
        first.SetResult();

        (EndResult result, Task watchersLeft) = await shutdown;
        Assert.Equal([2UL], result.Ended.Select(id => id.Value));
        Assert.True(watchersLeft.IsCompletedSuccessfully);
        Assert.Empty(List());
    }

    /// <summary>A connection that was handed on lives, and calls, after the process that made it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_whose_process_has_ended_keeps_nothing_of_its_calls(bool watches)
    {
        FakeConnection connection = new();
        connection.Exit();

        WeakReference feed = await CallAsync(connection, watches);

        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.False(feed.IsAlive);
        GC.KeepAlive(connection);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private async Task<WeakReference> CallAsync(FakeConnection connection, bool watches)
    {
        if (!watches)
        {
            Assert.Equal(LeaseRefusal.ConnectionEnded, await RefusalAsync(connection));
        }

        // Not disposed: it would leave what holds it, and only that it can show.
        return new WeakReference(Table.Watch(connection));
    }
}
