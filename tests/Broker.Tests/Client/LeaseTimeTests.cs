using BarBroker.Client;
using BarBroker.Grpc;
using BarBroker.V1;
using Google.Protobuf.WellKnownTypes;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>What a holder sees of ends that come with time.</summary>
public sealed class LeaseTimeTests : IAsyncDisposable
{
    private static readonly DateTimeOffset Soon = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    private readonly FakeConnection _broker = new();
    private readonly BarBrokerClient _client;

    public LeaseTimeTests()
    {
        _client = new BarBrokerClient(_broker, TimeProvider.System);
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    [Fact]
    public async Task A_lease_has_no_end_of_its_own_unless_the_broker_says_so()
    {
        await using BarLease lease = await AcquireAsync();
        Assert.Null(lease.ExpireTime);
        Assert.Null(lease.Notice);
        Assert.False(lease.EndAnnounced.IsCancellationRequested);
        Assert.Null(Assert.Single(_broker.Requests).LeaseTime);
        Assert.Null(await lease.RenewAsync(cancellationToken: Cancelled));
    }

    [Fact]
    public async Task The_time_that_is_asked_for_is_sent_and_the_one_that_is_given_is_shown()
    {
        GiveTimes();
        await using BarLease lease = await AcquireAsync(TimeSpan.FromMinutes(5));
        Assert.Equal(TimeSpan.FromMinutes(5), Assert.Single(_broker.Requests).LeaseTime.ToTimeSpan());
        Assert.Equal(Soon, lease.ExpireTime);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public async Task No_time_is_not_asked_for(long ticks)
    {
        TimeSpan none = TimeSpan.FromTicks(ticks);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => AcquireAsync(none));
        await using BarLease lease = await AcquireAsync();
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => lease.RenewAsync(none, Cancelled));
        Assert.Single(_broker.Requests);
    }

    [Fact]
    public async Task A_renewal_moves_the_end()
    {
        GiveTimes();
        await using BarLease lease = await AcquireAsync();
        RenewRequest? sent = null;
        _broker.OnRenew = request =>
        {
            sent = request;
            return Renewed(request, Soon + TimeSpan.FromHours(1));
        };

        Assert.Equal(Soon + TimeSpan.FromHours(1), await lease.RenewAsync(TimeSpan.FromHours(1), Cancelled));

        Assert.Equal(Soon + TimeSpan.FromHours(1), lease.ExpireTime);
        Assert.Equal(new RenewRequest { LeaseId = lease.Id, LeaseTime = Duration.FromTimeSpan(TimeSpan.FromHours(1)) }, sent);
    }

    [Fact]
    public async Task A_renewal_that_is_refused_throws_and_changes_nothing()
    {
        GiveTimes();
        await using BarLease lease = await AcquireAsync();
        _broker.OnRenew = _ => throw FakeConnection.Failure(StatusCode.ResourceExhausted);
        Assert.Equal(StatusCode.ResourceExhausted, (await Assert.ThrowsAsync<RpcException>(() => lease.RenewAsync(cancellationToken: Cancelled))).StatusCode);
        Assert.Equal(Soon, lease.ExpireTime);
    }

    [Fact]
    public async Task An_announced_end_is_told_and_the_lease_goes_on()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendEnding(lease.Id, Soon);
        await CancellationOf(lease.EndAnnounced);

        Assert.Equal(new LeaseNotice(LeaseEndReason.Revoked, Soon, "soon"), lease.Notice);
        Assert.Equal(Soon, lease.ExpireTime);
        Assert.Null(lease.EndReason);
        lease.Map().Write32(0, 1);

        _broker.SendEnd(lease.Id, EndReason.Revoked);
        await CancellationOf(lease.Ended);
        Assert.Equal(LeaseEndReason.Revoked, lease.EndReason);
    }

    [Fact]
    public async Task A_later_announcement_can_only_bring_the_end_nearer()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendEnding(lease.Id, Soon);
        _broker.SendEnding(lease.Id, Soon - TimeSpan.FromSeconds(1));
        _broker.SendEnding(lease.Id, Soon + TimeSpan.FromSeconds(1));
        await HeardAsync();
        Assert.Equal(Soon - TimeSpan.FromSeconds(1), lease.Notice!.EndTime);
        Assert.Equal(Soon - TimeSpan.FromSeconds(1), lease.ExpireTime);
    }

    [Fact]
    public async Task A_renewal_that_is_answered_after_the_announcement_does_not_hide_it()
    {
        await using BarLease lease = await AcquireAsync();
        TaskCompletionSource answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _broker.OnRenew = async request =>
        {
            await answer.Task;
            return await Renewed(request, Soon + TimeSpan.FromHours(1));
        };
        Task<DateTimeOffset?> renewal = lease.RenewAsync(cancellationToken: Cancelled);
        _broker.SendEnding(lease.Id, Soon);
        await HeardAsync();
        answer.SetResult();

        Assert.Equal(Soon, await renewal);
        Assert.Equal(Soon, lease.ExpireTime);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_announcement_that_is_heard_of_before_the_lease_is_not_lost(bool bySnapshot)
    {
        TaskCompletionSource answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        BarLease witness = await AcquireAsync();
        _broker.OnAcquire = async response =>
        {
            await answer.Task;
            return response;
        };
        Task<BarLease> acquiring = AcquireAsync();
        if (bySnapshot)
        {
            _broker.SendSnapshot(new Lease { LeaseId = witness.Id }, Noticed(witness.Id + 1));
        }
        else
        {
            _broker.SendEnding(witness.Id + 1, Soon);
        }

        _broker.SendEnd(witness.Id, EndReason.Revoked);
        await CancellationOf(witness.Ended);
        answer.SetResult();

        await using BarLease lease = await acquiring;
        await CancellationOf(lease.EndAnnounced);
        Assert.Equal((LeaseEndReason.Revoked, Soon), (lease.Notice!.Reason, lease.Notice.EndTime));
    }

    [Fact]
    public async Task A_snapshot_tells_of_a_notice()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSnapshot(Noticed(lease.Id));
        await CancellationOf(lease.EndAnnounced);
        Assert.Equal((LeaseEndReason.Revoked, Soon), (lease.Notice!.Reason, lease.Notice.EndTime));
        Assert.Equal(Soon, lease.ExpireTime);
    }

    [Fact]
    public async Task Nothing_is_announced_of_a_lease_that_is_over()
    {
        BarLease lease = await AcquireAsync();
        await lease.ReleaseAsync(Cancelled);
        _broker.SendEnding(lease.Id, Soon);
        await HeardAsync();
        Assert.Null(lease.Notice);
        Assert.False(lease.EndAnnounced.IsCancellationRequested);
    }

    private static Lease Noticed(ulong id) => new() { LeaseId = id, Ending = EndReason.Revoked, ExpireTime = Timestamp.FromDateTimeOffset(Soon) };

    private static Task<RenewResponse> Renewed(RenewRequest request, DateTimeOffset end)
        => Task.FromResult(new RenewResponse { Lease = new Lease { LeaseId = request.LeaseId, ExpireTime = Timestamp.FromDateTimeOffset(end) } });

    private static async Task CancellationOf(CancellationToken token)
    {
        TaskCompletionSource cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = token.Register(cancelled.SetResult);
        await cancelled.Task.WaitAsync(Cancelled);
    }

    /// <summary>All leases from now on have an end.</summary>
    private void GiveTimes() => _broker.OnAcquire = response =>
    {
        response.Lease.ExpireTime = Timestamp.FromDateTimeOffset(Soon);
        return Task.FromResult(response);
    };

    private Task<BarLease> AcquireAsync(TimeSpan? time = null)
        => _client.AcquireAsync("sim0", "left", new AcquireOptions { Access = LeaseAccess.ReadWrite, LeaseTime = time }, Cancelled);

    /// <summary>Returns once what was sent has arrived.</summary>
    private async Task HeardAsync()
    {
        BarLease witness = await AcquireAsync();
        _broker.SendEnd(witness.Id, EndReason.Revoked);
        await CancellationOf(witness.Ended);
    }
}
