using BarBroker.Client;
using BarBroker.Grpc;
using BarBroker.V1;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Client;

public sealed class BarLeaseTests : IAsyncDisposable
{
    private readonly FakeConnection _broker = new();
    private readonly SignallingTime _time = new();
    private readonly BarBrokerClient _client;

    public BarLeaseTests()
    {
        _client = new BarBrokerClient(_broker, _time);
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    [Fact]
    public async Task A_lease_maps_its_memory()
    {
        await using BarLease lease = await AcquireAsync();
        using MappedBar bar = lease.Map();
        using MappedBar again = lease.Map();
        bar.Write32(4, 0x1234);
        Assert.Equal(0x1234u, again.Read32(4));
        Assert.Equal(4096UL, bar.Length);
        Assert.Equal(LeaseAccess.ReadWrite, bar.Access);
    }

    [Fact]
    public async Task Mapping_a_revoked_lease_says_that_it_is_over()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.TakeMemory(lease.Id);
        Assert.Equal(lease.Id, Assert.Throws<LeaseRevokedException>(lease.Map).LeaseId);
    }

    [Fact]
    public async Task A_release_unmaps_first_then_tells_the_broker_then_closes_the_descriptor()
    {
        BarLease lease = await AcquireAsync();
        MappedBar bar = lease.Map();
        _broker.OnRelease = _ =>
        {
            Assert.Throws<ObjectDisposedException>(() => bar.Read32(0));
            Assert.Throws<ObjectDisposedException>(lease.Map);
            Assert.False(lease.Descriptor.IsClosed);
            Assert.False(lease.Ended.IsCancellationRequested);
            return Task.CompletedTask;
        };

        await lease.ReleaseAsync(Cancelled);

        Assert.True(lease.Descriptor.IsClosed);
        Assert.True(lease.Ended.IsCancellationRequested);
        Assert.Equal(LeaseEndReason.Released, lease.EndReason);
        await lease.ReleaseAsync(Cancelled);
        await lease.DisposeAsync();
        Assert.Equal([1UL], _broker.Released);
    }

    [Fact]
    public async Task A_release_goes_on_when_its_caller_stops_waiting()
    {
        TaskCompletionSource answered = new();
        _broker.OnRelease = _ => answered.Task;
        BarLease lease = await AcquireAsync();
        using CancellationTokenSource impatience = new();
        Task first = lease.ReleaseAsync(impatience.Token);
        await impatience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);

        answered.SetResult();
        await lease.ReleaseAsync(Cancelled);
        Assert.Single(_broker.Released);
    }

    [Theory]
    [InlineData(StatusCode.NotFound, LeaseEndReason.Unknown)]
    [InlineData(StatusCode.Unavailable, LeaseEndReason.ConnectionClosed)]
    public async Task Releasing_what_is_over_already_is_quiet(StatusCode code, LeaseEndReason reason)
    {
        _broker.OnRelease = _ => throw FakeConnection.Failure(code);
        BarLease lease = await AcquireAsync();
        await lease.ReleaseAsync(Cancelled);
        Assert.Equal(reason, lease.EndReason);
    }

    [Fact]
    public async Task A_release_that_the_broker_cannot_confirm_throws_and_a_dispose_does_not()
    {
        _broker.OnRelease = _ => throw FakeConnection.Failure(StatusCode.Internal);
        BarLease lease = await AcquireAsync();
        await lease.DisposeAsync();
        Assert.Equal(StatusCode.Internal, (await Assert.ThrowsAsync<RpcException>(() => lease.ReleaseAsync(Cancelled))).StatusCode);
        Assert.True(lease.Descriptor.IsClosed);
        Assert.True(lease.Ended.IsCancellationRequested);
    }

    [Theory]
    [InlineData(EndReason.Revoked, LeaseEndReason.Revoked)]
    [InlineData(EndReason.DeviceGone, LeaseEndReason.DeviceGone)]
    [InlineData(EndReason.Shutdown, LeaseEndReason.Shutdown)]
    [InlineData(EndReason.ProcessExited, LeaseEndReason.ProcessExited)]
    [InlineData((EndReason)99, LeaseEndReason.Unknown)]
    public async Task The_brokers_word_ends_a_lease_with_its_reason(EndReason sent, LeaseEndReason expected)
    {
        BarLease lease = await AcquireAsync();
        BarLease other = await AcquireAsync();
        _broker.SendEnd(lease.Id, sent, "maintenance");
        await EndOf(lease);

        Assert.Equal(expected, lease.EndReason);
        Assert.Equal("maintenance", lease.EndMessage);
        Assert.Null(other.EndReason);
        await lease.DisposeAsync();
        Assert.DoesNotContain(lease.Id, _broker.Released);
        Assert.Equal(expected, lease.EndReason);
    }

    [Fact]
    public async Task A_callback_that_throws_or_blocks_does_not_keep_others_from_hearing()
    {
        BarLease blocked = await AcquireAsync();
        BarLease other = await AcquireAsync();
        using ManualResetEventSlim unblock = new();
        blocked.Ended.Register(() => unblock.Wait(Cancelled));
        blocked.Ended.Register(() => throw new InvalidOperationException("an application's error"));

        _broker.SendEnd(blocked.Id, EndReason.Revoked);
        _broker.SendEnd(other.Id, EndReason.Revoked);
        await EndOf(other);
        unblock.Set();
        Assert.Equal(LeaseEndReason.Revoked, blocked.EndReason);
    }

    [Fact]
    public async Task An_end_that_is_heard_of_before_the_lease_is_not_lost()
    {
        TaskCompletionSource answered = new();
        _broker.OnAcquire = async response =>
        {
            await answered.Task;
            return response;
        };
        BarLease first = await AcquireAfter(answered, () => _broker.SendEnd(1, EndReason.Revoked, "early"));
        await EndOf(first);
        Assert.Equal((LeaseEndReason.Revoked, "early"), (first.EndReason, first.EndMessage));
    }

    [Fact]
    public async Task The_connections_end_ends_every_lease()
    {
        BarLease lease = await AcquireAsync();
        _broker.Close();
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.ConnectionClosed, lease.EndReason);
        await lease.DisposeAsync();
        Assert.Empty(_broker.Released);
    }

    [Fact]
    public async Task The_brokers_last_word_counts_more_than_its_hanging_up()
    {
        BarLease lease = await AcquireAsync();
        _broker.SendEnd(lease.Id, EndReason.Shutdown);
        _broker.Close();
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.Shutdown, lease.EndReason);
    }

    [Fact]
    public async Task A_lease_that_arrives_after_the_connections_end_is_over()
    {
        TaskCompletionSource answered = new();
        _broker.OnAcquire = async response =>
        {
            await answered.Task;
            return response;
        };
        BarLease lease = await AcquireAfter(answered, _broker.Close);
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.ConnectionClosed, lease.EndReason);
    }

    [Fact]
    public async Task A_snapshot_ends_what_it_does_not_name_if_the_kernel_agrees()
    {
        BarLease revoked = await AcquireAsync();
        BarLease younger = await AcquireAsync();
        _broker.TakeMemory(revoked.Id);

        // As after an overflow: the end of one was dropped, and the snapshot is older than the other.
        _broker.SendSnapshot();
        await EndOf(revoked);
        _broker.SendEnd(younger.Id, EndReason.Revoked);
        await EndOf(younger);

        Assert.Equal(LeaseEndReason.Unknown, revoked.EndReason);
        Assert.Equal(LeaseEndReason.Revoked, younger.EndReason);
    }

    [Fact]
    public async Task A_lease_that_a_snapshot_missed_on_its_way_here_is_asked_of_the_kernel()
    {
        TaskCompletionSource answered = new();
        BarLease witness = await AcquireAsync();
        _broker.OnAcquire = async response =>
        {
            await answered.Task;
            return response;
        };
        Task<BarLease> acquiring = AcquireAsync();
        _broker.TakeMemory(2);
        _broker.SendSnapshot();
        _broker.SendEnd(witness.Id, EndReason.Revoked);
        await EndOf(witness);
        answered.SetResult();
        BarLease lease = await acquiring;
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.Unknown, lease.EndReason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_watch_that_ends_or_loses_an_event_is_begun_anew(bool loses)
    {
        BarLease lease = await AcquireAsync();
        _broker.TakeMemory(lease.Id);
        if (loses)
        {
            _broker.SkipSequence();
            _broker.SendSnapshot();
        }
        else
        {
            _broker.EndWatch(FakeConnection.Failure(StatusCode.Internal));
        }

        await _time.TimerCreated.WaitAsync(Cancelled);
        _time.Advance(TimeSpan.FromSeconds(1));
        await EndOf(lease);
        Assert.Equal(2, _broker.Watches);
        Assert.Equal(LeaseEndReason.Unknown, lease.EndReason);
    }

    private static async Task EndOf(BarLease lease)
    {
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = lease.Ended.Register(ended.SetResult);
        await ended.Task.WaitAsync(Cancelled);
    }

    private Task<BarLease> AcquireAsync() => _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);

    /// <summary>Acquires; what happens before the answer arrives has been heard of when it does.</summary>
    private async Task<BarLease> AcquireAfter(TaskCompletionSource answered, Action before)
    {
        Func<AcquireResponse, Task<AcquireResponse>> late = _broker.OnAcquire;
        _broker.OnAcquire = Task.FromResult;
        _broker.NextLease = 100;
        BarLease witness = await AcquireAsync();
        _broker.NextLease = 1;
        _broker.OnAcquire = late;
        Task<BarLease> acquiring = AcquireAsync();
        before();
        if (!_broker.Closed.IsCancellationRequested)
        {
            _broker.SendEnd(witness.Id, EndReason.Revoked);
        }

        await EndOf(witness);
        answered.SetResult();
        return await acquiring;
    }

    /// <summary>Tells when somebody begins to wait.</summary>
    private sealed class SignallingTime : FakeTimeProvider
    {
        private readonly TaskCompletionSource _timerCreated = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task TimerCreated => _timerCreated.Task;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ITimer timer = base.CreateTimer(callback, state, dueTime, period);
            _timerCreated.TrySetResult();
            return timer;
        }
    }
}
