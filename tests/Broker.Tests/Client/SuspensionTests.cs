using System.Threading.Channels;
using BarBroker.Client;
using BarBroker.V1;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>What a lease's holder hears of its device being suspended and resumed.</summary>
public sealed class SuspensionTests : IAsyncDisposable
{
    private readonly FakeConnection _broker = new();
    private readonly BarBrokerClient _client;
    private readonly Channel<string> _heard = Channel.CreateUnbounded<string>();

    public SuspensionTests() => _client = new BarBrokerClient(_broker, TimeProvider.System);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    [Fact]
    public async Task Suspension_and_resumption_are_told_in_their_order_with_their_reasons()
    {
        await using BarLease lease = await AcquireAsync();

        _broker.SendSuspended("dev0", SuspendReason.LowPower, "sleeps");
        _broker.SendResumed("dev0", reset: false);
        _broker.SendSuspended("dev0", SuspendReason.Reset, "is reset");
        _broker.SendResumed("dev0", reset: true);

        Assert.Equal(["LowPower sleeps", "False", "Reset is reset", "True"], await HearAsync(4));
        Assert.Null(lease.Suspension);
    }

    [Fact]
    public async Task Who_waits_for_the_device_goes_on_when_it_is_back_and_knows_whether_it_was_reset()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "");
        await HearAsync(1);
        Assert.Equal(DeviceSuspendReason.MemoryOff, lease.Suspension!.Reason);
        Task<bool> resumed = lease.WaitUntilResumedAsync(Cancelled);
        Assert.False(resumed.IsCompleted);

        _broker.SendResumed("dev0", reset: true);

        Assert.True(await resumed);
        Assert.False(await lease.WaitUntilResumedAsync(Cancelled));
    }

    [Fact]
    public async Task Waiting_can_be_given_up_and_the_suspension_goes_on()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "");
        await HearAsync(1);
        using CancellationTokenSource giveUp = new();
        Task<bool> resumed = lease.WaitUntilResumedAsync(giveUp.Token);

        await giveUp.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => resumed);
        Assert.NotNull(lease.Suspension);
    }

    [Fact]
    public async Task Who_waits_for_a_lease_that_ends_is_told_that_it_is_over()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "");
        await HearAsync(1);
        Task<bool> resumed = lease.WaitUntilResumedAsync(Cancelled);

        _broker.SendEnd(lease.Id, EndReason.DeviceGone);

        Assert.Equal(lease.Id, (await Assert.ThrowsAsync<LeaseRevokedException>(() => resumed)).LeaseId);
        Assert.Null(lease.Suspension);
        await Assert.ThrowsAsync<LeaseRevokedException>(() => lease.WaitUntilResumedAsync(Cancelled));
    }

    [Fact]
    public async Task A_lease_of_another_device_hears_nothing()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSuspended("dev1", SuspendReason.MemoryOff, "");
        _broker.SendSuspended("dev0", SuspendReason.Reset, "own");

        Assert.Equal(["Reset own"], await HearAsync(1));
    }

    [Fact]
    public async Task A_lease_that_comes_while_its_device_is_suspended_is_suspended()
    {
        await using BarLease first = await AcquireAsync();
        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "");
        await HearAsync(1);

        await using BarLease second = await _client.AcquireAsync("dev0", "right", LeaseAccess.ReadWrite, Cancelled);

        Assert.Equal(DeviceSuspendReason.MemoryOff, second.Suspension!.Reason);
    }

    [Fact]
    public async Task A_snapshot_that_does_not_name_the_device_any_more_ends_its_suspension_perhaps_with_a_reset()
    {
        await using BarLease lease = await AcquireAsync();
        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "");
        await HearAsync(1);
        Task<bool> resumed = lease.WaitUntilResumedAsync(Cancelled);

        _broker.SendSnapshot(new Lease { LeaseId = lease.Id, Device = "dev0" });

        Assert.True(await resumed);
    }

    [Fact]
    public async Task A_snapshot_that_names_the_device_suspends_its_leases()
    {
        await using BarLease lease = await AcquireAsync();

        _broker.SendSnapshot([new Lease { LeaseId = lease.Id, Device = "dev0" }], new DeviceSuspended { Device = "dev0", Reason = SuspendReason.LowPower, Message = "sleeps" });

        Assert.Equal(["LowPower sleeps"], await HearAsync(1));
    }

    [Fact]
    public async Task A_handler_that_throws_does_not_keep_later_news_away()
    {
        await using BarLease lease = await AcquireAsync();
        lease.DeviceSuspended += (_, _) => throw new InvalidOperationException("a driver's fault");

        _broker.SendSuspended("dev0", SuspendReason.MemoryOff, "off");
        _broker.SendResumed("dev0", reset: false);

        Assert.Equal(["MemoryOff off", "False"], await HearAsync(2));
    }

    private async Task<BarLease> AcquireAsync()
    {
        BarLease lease = await _client.AcquireAsync("dev0", "left", LeaseAccess.ReadWrite, Cancelled);
        lease.DeviceSuspended += (_, heard) => _heard.Writer.TryWrite($"{heard.Suspension.Reason} {heard.Suspension.Message}");
        lease.DeviceResumed += (_, heard) => _heard.Writer.TryWrite($"{heard.WasReset}");
        return lease;
    }

    private async Task<string[]> HearAsync(int count)
    {
        string[] heard = new string[count];
        for (int i = 0; i < count; i++)
        {
            heard[i] = await _heard.Reader.ReadAsync(Cancelled);
        }

        return heard;
    }
}
