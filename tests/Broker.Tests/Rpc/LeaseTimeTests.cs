using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.V1;
using Google.Protobuf.WellKnownTypes;
using Xunit;
using EndReason = BarBroker.V1.EndReason;
using Lease = BarBroker.V1.Lease;
using LeaseState = BarBroker.V1.LeaseState;

namespace BarBroker.Tests.Rpc;

/// <summary>What programs hear of leases that end with time.</summary>
public sealed class LeaseTimeTests : ServiceTest
{
    private const long TenYears = 3650L * 24 * 3600;

    /// <summary>Seconds and nanoseconds that are no lease time.</summary>
    public static TheoryData<long, int> BadTimes => new()
    {
        { 0, 0 },
        { -1, 0 },
        { 0, -1 },
        { 1, -1 },
        { -1, 1 },
        { 0, 1_000_000_000 },
        { TenYears, 1 },
        { TenYears + 1, 0 },
        { long.MaxValue, int.MaxValue },
        { long.MinValue, int.MinValue },
    };

    [Theory]
    [MemberData(nameof(BadTimes))]
    public async Task A_lease_time_that_is_none_is_refused_with_its_field(long seconds, int nanos)
    {
        Duration time = new() { Seconds = seconds, Nanos = nanos };
        AcquireRequest request = Window();
        request.LeaseTime = time;
        await IsInvalidAsync("LEASE_TIME_INVALID", "lease_time", () => AcquireAsync(request));

        ulong id = (await AcquireAsync(Window())).Lease.LeaseId;
        await IsInvalidAsync("LEASE_TIME_INVALID", "lease_time", () => RenewAsync(id, time));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 999_999_999)]
    [InlineData(1, 0)]
    [InlineData(TenYears, 0)]
    public async Task A_lease_lives_as_long_as_was_asked_for(long seconds, int nanos)
    {
        AcquireRequest request = Window();
        request.LeaseTime = new Duration { Seconds = seconds, Nanos = nanos };

        AcquireResponse response = await AcquireAsync(request);

        // The broker counts in 100 ns, and does not end a lease early.
        TimeSpan given = response.Lease.ExpireTime.ToDateTimeOffset() - Time.GetUtcNow();
        Assert.Equal(TimeSpan.FromSeconds(seconds) + TimeSpan.FromTicks((nanos + 99) / 100), given);
    }

    [Fact]
    public async Task Who_asks_for_no_time_gets_a_lease_without_an_end()
    {
        AcquireResponse response = await AcquireAsync(Window());
        Assert.Null(response.Lease.ExpireTime);
        Assert.Null((await RenewAsync(response.Lease.LeaseId, null)).Lease.ExpireTime);
    }

    [Fact]
    public async Task A_renewal_answers_with_the_new_end()
    {
        ulong id = (await AcquireForAMinuteAsync()).LeaseId;
        Time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(Time.GetUtcNow() + TimeSpan.FromMinutes(1), (await RenewAsync(id, null)).Lease.ExpireTime.ToDateTimeOffset());
        Assert.Equal(Time.GetUtcNow() + TimeSpan.FromHours(1), (await RenewAsync(id, Duration.FromTimeSpan(TimeSpan.FromHours(1)))).Lease.ExpireTime.ToDateTimeOffset());
    }

    [Fact]
    public async Task Nobody_renews_what_another_connection_acquired_or_what_is_over()
    {
        ulong id = (await AcquireForAMinuteAsync()).LeaseId;
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => RenewAsync(id, null, Mallory));
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => RenewAsync(id + 1, null));
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => RenewAsync(0, null));
        await ReleaseAsync(id);
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => RenewAsync(id, null));
    }

    [Fact]
    public async Task A_lease_is_not_renewed_once_its_end_was_announced_or_has_begun()
    {
        ulong id = (await AcquireForAMinuteAsync()).LeaseId;
        Task<RevokeResponse> revoke = RevokeAsync(id, TimeSpan.FromSeconds(10));
        Assert.Contains("announced", await FailsAsync(StatusCode.FailedPrecondition, "LEASE_ENDING", () => RenewAsync(id, null)), StringComparison.Ordinal);

        Device.RevokeDone.Close();
        Task<ReleaseResponse> release = ReleaseAsync(id);
        TaskCompletionSource done = await Device.RevokeDone.ArrivalAsync();
        Assert.Contains("is ending", await FailsAsync(StatusCode.FailedPrecondition, "LEASE_ENDING", () => RenewAsync(id, null)), StringComparison.Ordinal);
        done.SetResult();
        await release;
        await revoke;
    }

    [Fact]
    public async Task A_lease_is_not_renewed_more_often_than_its_grant_allows()
    {
        LeaseRequest request = new(Device, "left", RangeList.Of(Tests.Leases.Ranges.Of(0, 0, 1)), ExportOptions.ReadWrite, Exclusive: true)
        {
            Terms = LeaseTerms.Of(asked: null, TimeSpan.FromMinutes(1), maxRenewals: 1),
        };
        ulong id = (await Table.AcquireAsync(Alice, request, TestContext.Current.CancellationToken)).Lease.Id.Value;
        await RenewAsync(id, null);
        await FailsAsync(StatusCode.ResourceExhausted, "TOO_MANY_RENEWALS", () => RenewAsync(id, null));
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, -1)]
    [InlineData(1, -1)]
    [InlineData(0, 1_000_000_000)]
    [InlineData(3600, 1)]
    [InlineData(3601, 0)]
    [InlineData(long.MaxValue, 0)]
    public async Task A_grace_that_is_none_ends_nothing(long seconds, int nanos)
    {
        AcquireResponse lease = await AcquireAsync(Window());

        await IsInvalidAsync("GRACE_INVALID", "grace", () => RevokeAsync(new RevokeRequest { All = true, Grace = new Duration { Seconds = seconds, Nanos = nanos } }));

        Assert.Equal(LeaseState.Active, (await HeldAsync()).State);
        Assert.Equal(lease.Lease, (await HeldAsync()).Lease);
    }

    [Fact]
    public async Task Without_a_grace_period_a_revoke_is_done_at_once()
    {
        ulong id = (await AcquireAsync(Window())).Lease.LeaseId;
        Assert.Equal([id], (await RevokeAsync(id, TimeSpan.Zero)).LeaseIds);
        Assert.Empty(Device.Reachable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_revoke_with_grace_returns_only_after_the_end(bool all)
    {
        AcquireResponse lease = await AcquireAsync(Window());
        TimeSpan grace = TimeSpan.FromHours(1);
        Task<RevokeResponse> revoke = all
            ? RevokeAsync(new RevokeRequest { All = true, Grace = Duration.FromTimeSpan(grace) })
            : RevokeAsync(lease.Lease.LeaseId, grace);

        HeldLease held = await HeldAsync();
        Assert.Equal((LeaseState.Noticed, EndReason.Revoked), (held.State, held.Lease.Ending));
        Assert.Equal(Time.GetUtcNow() + grace, held.Lease.ExpireTime.ToDateTimeOffset());
        Time.Advance(grace - TimeSpan.FromMilliseconds(1));
        Assert.False(revoke.IsCompleted);
        Assert.Single(Device.Reachable);

        Time.Advance(TimeSpan.FromMilliseconds(2));
        Assert.Equal([lease.Lease.LeaseId], (await revoke).LeaseIds);
        Assert.Empty(Device.Reachable);
    }

    [Fact]
    public async Task A_revoke_with_grace_of_an_unknown_lease_is_refused()
        => await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => RevokeAsync(99, TimeSpan.FromSeconds(1)));

    [Fact]
    public async Task An_end_after_the_period_that_the_kernel_does_not_confirm_is_an_error()
    {
        ulong id = (await AcquireAsync(Window())).Lease.LeaseId;
        Device.RevokeFails = _ => true;
        Task<RevokeResponse> revoke = RevokeAsync(id, TimeSpan.FromSeconds(1));
        Time.Advance(TimeSpan.FromSeconds(2));
        await FailsAsync(StatusCode.Internal, "REVOKE_UNCONFIRMED", () => revoke);

        HeldLease held = await HeldAsync();
        Assert.Equal(LeaseState.Quarantined, held.State);
        Assert.Null(held.Lease.ExpireTime);
    }

    [Fact]
    public async Task Watch_tells_of_the_announced_end_and_then_of_the_end()
    {
        ulong id = (await AcquireAsync(Window())).Lease.LeaseId;
        ServiceCalls.ServerStream<WatchEvent> watch = Watch();
        await watch.NextAsync();

        Task<RevokeResponse> revoke = RevokeAsync(id, TimeSpan.FromSeconds(10));

        WatchEvent told = await watch.NextAsync();
        Assert.Equal((2UL, id, EndReason.Revoked), (told.Sequence, told.LeaseEnding.LeaseId, told.LeaseEnding.Reason));
        DateTimeOffset end = Time.GetUtcNow() + TimeSpan.FromSeconds(10);
        Assert.Equal(end, told.LeaseEnding.EndTime.ToDateTimeOffset());
        Assert.Equal($"An administrator revokes the lease at {end:HH:mm:ss.fff} UTC. Release it before.", told.LeaseEnding.Message);

        await ReleaseAsync(id);
        WatchEvent ended = await watch.NextAsync();
        Assert.Equal((3UL, id, EndReason.Revoked), (ended.Sequence, ended.LeaseEnded.LeaseId, ended.LeaseEnded.Reason));
        Assert.Equal([id], (await revoke).LeaseIds);
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task Watch_tells_that_a_lease_expired()
    {
        ulong id = (await AcquireForAMinuteAsync()).LeaseId;
        ServiceCalls.ServerStream<WatchEvent> watch = Watch();
        await watch.NextAsync();
        Time.Advance(TimeSpan.FromSeconds(61));

        LeaseEnded ended = (await watch.NextAsync()).LeaseEnded;

        Assert.Equal((id, EndReason.Expired, "The lease's time was over, and it was not renewed."), (ended.LeaseId, ended.Reason, ended.Message));
        await Table.ShutdownAsync();
    }

    [Fact]
    public async Task A_snapshot_tells_of_the_announced_end()
    {
        ulong id = (await AcquireAsync(Window())).Lease.LeaseId;
        Task<RevokeResponse> revoke = RevokeAsync(id, TimeSpan.FromSeconds(10));

        Lease lease = Assert.Single((await Watch().NextAsync()).Snapshot.Leases);

        Assert.Equal((EndReason.Revoked, Time.GetUtcNow() + TimeSpan.FromSeconds(10)), (lease.Ending, lease.ExpireTime.ToDateTimeOffset()));
        await Table.ShutdownAsync();
        await revoke;
    }

    private static async Task IsInvalidAsync(string reason, string field, Func<Task> call)
    {
        RpcException refused = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal((StatusCode.InvalidArgument, reason), (refused.StatusCode, refused.GetReason()));
        Assert.Equal(field, Assert.Single(refused.GetFieldViolations()).Field);
    }

    private async Task<Lease> AcquireForAMinuteAsync()
    {
        AcquireRequest request = Window();
        request.LeaseTime = Duration.FromTimeSpan(TimeSpan.FromMinutes(1));
        return (await AcquireAsync(request)).Lease;
    }

    private Task<RenewResponse> RenewAsync(ulong id, Duration? time, Tests.Leases.FakeConnection? connection = null)
        => Broker.CallAsync<RenewRequest, RenewResponse>("Renew", new RenewRequest { LeaseId = id, LeaseTime = time }, connection ?? Alice);

    private Task<RevokeResponse> RevokeAsync(ulong id, TimeSpan grace)
        => RevokeAsync(new RevokeRequest { LeaseId = id, Grace = Duration.FromTimeSpan(grace) });

    private async Task<HeldLease> HeldAsync()
        => Assert.Single((await Admin.CallAsync<ListLeasesRequest, ListLeasesResponse>("ListLeases", new ListLeasesRequest(), Root)).Leases);

    private ServiceCalls.ServerStream<WatchEvent> Watch()
        => Broker.Stream<WatchRequest, WatchEvent>("Watch", new WatchRequest(), Alice, TestContext.Current.CancellationToken);
}
