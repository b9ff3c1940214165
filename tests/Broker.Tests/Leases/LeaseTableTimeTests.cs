using BarBroker.Devices;
using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

/// <summary>Ends that come with time.</summary>
public sealed class LeaseTableTimeTests : LeaseTableTest
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    /// <summary>For an end that does not come: a test that fails says more than one that hangs.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly FakeConnection _alice = new(1);

    [Fact]
    public async Task A_lease_ends_when_its_time_is_over_and_not_before()
    {
        await using IAsyncEnumerator<LeaseEvent> events = Table.Watch(_alice).ReadAllAsync(CancellationToken.None).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.IsType<LeaseSnapshot>(await NextAsync(events));
        AcquiredLease lease = await AcquireAsync(Minute);
        Assert.Equal(Time.GetUtcNow() + Minute, lease.Lease.ExpireTime);

        Time.Advance(Minute - Tick);
        Assert.Equal(LeaseState.Active, Assert.Single(List()).State);

        // A timer counts whole milliseconds.
        Time.Advance(TimeSpan.FromMilliseconds(2));
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Expired, Confirmed: true), await NextAsync(events));
        Assert.Empty(List());
        Assert.Empty(Device.Reachable);
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_lease_without_an_end_of_its_own_has_none()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Time.Advance(TimeSpan.FromDays(1000));
        Assert.Null(lease.Lease.ExpireTime);
        Assert.Null(Table.Renew(_alice, lease.Lease.Id, asked: null)!.ExpireTime);
        Assert.Null(Table.Renew(_alice, lease.Lease.Id, Minute)!.ExpireTime);
        Assert.Single(List());
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_renewed_lease_lives_from_then_on()
    {
        AcquiredLease lease = await AcquireAsync(Minute);
        for (int i = 0; i < 10; i++)
        {
            Time.Advance(Minute - TimeSpan.FromSeconds(1));
            Assert.Equal(Time.GetUtcNow() + Minute, Table.Renew(_alice, lease.Lease.Id, asked: null)!.ExpireTime);
        }

        Assert.Equal(LeaseState.Active, Assert.Single(List()).State);
        await EndsAsync(lease, Minute + TimeSpan.FromMilliseconds(1));
    }

    [Theory]
    [InlineData(30, 30)]
    [InlineData(60, 60)]
    [InlineData(90, 60)]
    public async Task A_renewal_gives_what_is_asked_for_up_to_what_the_grant_allows(int asked, int given)
    {
        AcquiredLease lease = await AcquireAsync(Minute);
        Assert.Equal(Time.GetUtcNow() + TimeSpan.FromSeconds(given), Table.Renew(_alice, lease.Lease.Id, TimeSpan.FromSeconds(asked))!.ExpireTime);
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_renewal_that_asks_for_nothing_gives_the_time_that_the_lease_began_with()
    {
        LeaseRequest request = Request() with { Terms = LeaseTerms.Of(Minute, most: null, maxRenewals: null) };
        AcquiredLease lease = await Table.AcquireAsync(_alice, request, CancellationToken.None);
        Time.Advance(Minute / 2);
        Assert.Equal(Time.GetUtcNow() + Minute, Table.Renew(_alice, lease.Lease.Id, asked: null)!.ExpireTime);
        Assert.Equal(Time.GetUtcNow() + (10 * Minute), Table.Renew(_alice, lease.Lease.Id, 10 * Minute)!.ExpireTime);
        await EndsAsync(lease, (10 * Minute) + TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public async Task A_renewal_can_bring_the_end_nearer()
    {
        AcquiredLease lease = await AcquireAsync(Minute);
        Table.Renew(_alice, lease.Lease.Id, TimeSpan.FromSeconds(1));
        await EndsAsync(lease, TimeSpan.FromMilliseconds(1001));
    }

    [Fact]
    public async Task The_time_of_a_lease_that_is_long_in_the_making_begins_when_it_is_had()
    {
        Device.ExportDone.Close();
        Task<AcquiredLease> acquiring = AcquireAsync(Minute);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();
        Time.Advance(10 * Minute);
        export.SetResult();
        AcquiredLease lease = await acquiring;
        Assert.Equal(Time.GetUtcNow() + Minute, lease.Lease.ExpireTime);
        await EndsAsync(lease, Minute + TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public async Task A_lease_of_a_year_ends_after_a_year()
    {
        AcquiredLease lease = await AcquireAsync(TimeSpan.FromDays(365));
        Time.Advance(TimeSpan.FromDays(365) - Minute);
        Assert.Equal(LeaseState.Active, Assert.Single(List()).State);
        await EndsAsync(lease, 2 * Minute);
    }

    [Fact]
    public async Task A_lease_is_renewed_as_often_as_it_may_be()
    {
        AcquiredLease lease = await AcquireAsync(Minute, maxRenewals: 2);
        Table.Renew(_alice, lease.Lease.Id, asked: null);
        Table.Renew(_alice, lease.Lease.Id, asked: null);

        LeaseRefusedException refused = Assert.Throws<LeaseRefusedException>(() => Table.Renew(_alice, lease.Lease.Id, asked: null));
        Assert.Equal(LeaseRefusal.TooManyRenewals, refused.Refusal);
        Assert.Contains("renewed 2 times", refused.Message, StringComparison.Ordinal);
        await EndsAsync(lease, Minute + TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public async Task Only_who_acquired_a_lease_renews_it()
    {
        AcquiredLease lease = await AcquireAsync(Minute);
        Assert.Null(Table.Renew(new FakeConnection(2), lease.Lease.Id, asked: null));
        Assert.Null(Table.Renew(_alice, new LeaseId(lease.Lease.Id.Value + 1), asked: null));
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task Of_many_leases_each_ends_at_its_own_time()
    {
        AcquiredLease[] leases = new AcquiredLease[50];
        for (int i = 0; i < leases.Length; i++)
        {
            leases[i] = await AcquireAsync(TimeSpan.FromSeconds(1 + ((i * 7) % leases.Length)), page: (ulong)i);
        }

        for (int second = 1; second <= leases.Length; second++)
        {
            await Table.ReleaseAsync(_alice, new LeaseId(999));
            Time.Advance(TimeSpan.FromSeconds(1) + TimeSpan.FromMilliseconds(second == 1 ? 2 : 0));
            await WaitForAsync(() => List().Length == leases.Length - second);
        }
    }

    [Fact]
    public async Task Notice_is_given_and_the_lease_ends_by_force_when_the_period_is_over()
    {
        await using IAsyncEnumerator<LeaseEvent> events = Table.Watch(_alice).ReadAllAsync(CancellationToken.None).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.IsType<LeaseSnapshot>(await NextAsync(events));
        AcquiredLease lease = await AcquireAsync(time: null);

        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);

        Assert.Equal(new LeaseEndingEvent(lease.Lease.Id, EndReason.Revoked, Time.GetUtcNow() + Minute), await NextAsync(events));
        LeaseInfo noticed = Assert.Single(List());
        Assert.Equal((LeaseState.Noticed, EndReason.Revoked, Time.GetUtcNow() + Minute), (noticed.State, noticed.Ending, noticed.ExpireTime));
        Assert.Equal([lease.Lease.Id], Device.Reachable);
        Assert.Equal(LeaseRefusal.Ending, Assert.Throws<LeaseRefusedException>(() => Table.Renew(_alice, lease.Lease.Id, asked: null)).Refusal);
        Assert.False(revoke.IsCompleted);

        Time.Advance(Minute + TimeSpan.FromMilliseconds(1));
        Assert.Equal([lease.Lease.Id], (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Revoked, Confirmed: true), await NextAsync(events));
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_holder_that_releases_in_time_is_waited_for_no_longer_and_the_first_reason_stands()
    {
        await using IAsyncEnumerator<LeaseEvent> events = Table.Watch(_alice).ReadAllAsync(CancellationToken.None).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        await NextAsync(events);
        AcquiredLease lease = await AcquireAsync(time: null);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);
        await NextAsync(events);

        await Table.ReleaseAsync(_alice, lease.Lease.Id);

        Assert.Equal([lease.Lease.Id], (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Revoked, Confirmed: true), await NextAsync(events));
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task Notice_is_cut_short_by_a_revoke_without_one_and_never_made_longer()
    {
        AcquiredLease first = await AcquireAsync(time: null);
        AcquiredLease second = await AcquireAsync(time: null, page: 1);
        Task<EndResult?> slow = Table.RevokeAsync(first.Lease.Id, Minute);
        Task<EndResult?> slower = Table.RevokeAsync(first.Lease.Id, 10 * Minute);
        Task<EndResult> faster = Table.RevokeAsync(lease => lease.Id == second.Lease.Id, Minute);

        Assert.Equal([second.Lease.Id], (await Table.RevokeAsync(second.Lease.Id))!.Ended);
        Assert.Equal([second.Lease.Id], (await faster.WaitAsync(Limit, TestContext.Current.CancellationToken)).Ended);

        Time.Advance(Minute + TimeSpan.FromMilliseconds(1));
        Assert.Equal([first.Lease.Id], (await slow.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
        Assert.Equal([first.Lease.Id], (await slower.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
    }

    [Fact]
    public async Task A_lease_that_expires_in_the_period_ends_then_for_the_reason_that_was_announced()
    {
        await using IAsyncEnumerator<LeaseEvent> events = Table.Watch(_alice).ReadAllAsync(CancellationToken.None).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        await NextAsync(events);
        AcquiredLease lease = await AcquireAsync(Minute);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, 10 * Minute);
        Assert.Equal(new LeaseEndingEvent(lease.Lease.Id, EndReason.Revoked, Time.GetUtcNow() + Minute), await NextAsync(events));

        Time.Advance(Minute + TimeSpan.FromMilliseconds(1));

        Assert.Equal([lease.Lease.Id], (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
        Assert.Equal(new LeaseEndedEvent(lease.Lease.Id, EndReason.Revoked, Confirmed: true), await NextAsync(events));
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task An_end_that_can_not_be_confirmed_after_the_period_is_told_as_such()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Device.RevokeFails = _ => true;
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);

        Time.Advance(Minute + TimeSpan.FromMilliseconds(1));

        EndResult result = (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!;
        Assert.Equal([lease.Lease.Id], result.Unconfirmed);
        Assert.Empty(result.Ended);
        Device.RevokeFails = _ => false;
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_lease_that_is_being_made_is_given_no_notice()
    {
        Device.ExportDone.Close();
        Task<AcquiredLease> acquiring = AcquireAsync(time: null);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();
        Task<EndResult> revoke = Table.RevokeAsync(_ => true, Minute);
        export.SetResult();

        Assert.Equal(LeaseRefusal.Revoked, (await Assert.ThrowsAsync<LeaseRefusedException>(() => acquiring)).Refusal);
        Assert.Single((await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken)).Ended);
        Assert.Empty(List());
    }

    [Fact]
    public async Task Who_wants_a_range_whose_lease_has_notice_is_told_when_it_is_free()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(new FakeConnection(2), page: 0));

        Assert.Contains("it is over in 60 s. Try again then.", refused.Message, StringComparison.Ordinal);
        await Table.ShutdownAsync();
        await revoke;
    }

    [Fact]
    public async Task A_shutdown_does_not_wait_for_notices()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);
        Assert.Equal([lease.Lease.Id], (await Table.ShutdownAsync()).Leases.Ended);
        Assert.Equal([lease.Lease.Id], (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
    }

    [Fact]
    public async Task A_connection_that_ends_under_notice_ends_the_admins_wait()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);
        _alice.Close();
        Assert.Equal([lease.Lease.Id], (await revoke.WaitAsync(Limit, TestContext.Current.CancellationToken))!.Ended);
    }

    [Fact]
    public async Task A_snapshot_tells_of_notices()
    {
        AcquiredLease lease = await AcquireAsync(time: null);
        Task<EndResult?> revoke = Table.RevokeAsync(lease.Lease.Id, Minute);
        await using IAsyncEnumerator<LeaseEvent> events = Table.Watch(_alice).ReadAllAsync(CancellationToken.None).GetAsyncEnumerator(TestContext.Current.CancellationToken);

        LeaseInfo told = Assert.Single(Assert.IsType<LeaseSnapshot>(await NextAsync(events)).Leases);

        Assert.Equal((EndReason.Revoked, Time.GetUtcNow() + Minute), (told.Ending, told.ExpireTime));
        await Table.ShutdownAsync();
        await revoke;
    }

    private Task<AcquiredLease> AcquireAsync(TimeSpan? time, int? maxRenewals = null, ulong page = 0)
        => Table.AcquireAsync(_alice, Request(page) with { Terms = LeaseTerms.Of(asked: null, time, maxRenewals) }, CancellationToken.None);

    private async Task EndsAsync(AcquiredLease lease, TimeSpan after)
    {
        Time.Advance(after);
        await WaitForAsync(() => List().IsEmpty);
        Assert.DoesNotContain(lease.Lease.Id, Device.Reachable);
    }

    /// <summary>An end that nobody asked for runs on the pool.</summary>
    private static async Task WaitForAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(Limit);
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested);
            await Task.Yield();
        }
    }
}
