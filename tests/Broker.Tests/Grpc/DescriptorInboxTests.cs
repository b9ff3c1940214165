using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Grpc;

public sealed class DescriptorInboxTests
{
    private readonly DescriptorInbox _inbox = new();

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_claim_takes_the_descriptor_of_its_number()
    {
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        OwnedDescriptor first = Arrive();
        OwnedDescriptor second = Arrive();

        Assert.Same(second, await _inbox.ClaimAsync(1, Files.InodeOf(second), TestToken));
        Assert.Same(first, await _inbox.ClaimAsync(0, Files.InodeOf(first), TestToken));
        first.Dispose();
        second.Dispose();
    }

    [Fact]
    public async Task A_claim_that_comes_first_waits()
    {
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        Task<OwnedDescriptor> claim = _inbox.ClaimAsync(0, Files.InodeOf(descriptor), TestToken).AsTask();
        Assert.False(claim.IsCompleted);

        ((IDescriptorSink)_inbox).Received(descriptor);

        Assert.Same(descriptor, await claim);
    }

    [Fact]
    public async Task A_lost_descriptor_fails_its_own_claim_only()
    {
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        ((IDescriptorSink)_inbox).Lost();
        OwnedDescriptor second = Arrive();

        DescriptorLostException failure = await Assert.ThrowsAsync<DescriptorLostException>(async () => await _inbox.ClaimAsync(0, 1, TestToken));
        Assert.Contains("open files", failure.Message, StringComparison.Ordinal);
        using OwnedDescriptor claimed = await _inbox.ClaimAsync(1, Files.InodeOf(second), TestToken);
    }

    [Fact]
    public async Task Another_file_than_announced_is_closed_and_refused()
    {
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        OwnedDescriptor descriptor = Arrive();

        await Assert.ThrowsAsync<DescriptorLostException>(async () => await _inbox.ClaimAsync(0, Files.InodeOf(descriptor) + 1, TestToken));

        Assert.True(descriptor.IsClosed);
    }

    [Fact]
    public async Task A_number_can_be_claimed_once()
    {
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        using OwnedDescriptor descriptor = Arrive();
        await _inbox.ClaimAsync(0, Files.InodeOf(descriptor), TestToken);

        await Assert.ThrowsAsync<DescriptorLostException>(async () => await _inbox.ClaimAsync(0, Files.InodeOf(descriptor), TestToken));
    }

    [Fact]
    public void A_descriptor_that_comes_when_no_Acquire_is_under_way_is_closed() => Assert.True(Arrive().IsClosed);

    [Fact]
    public void An_unclaimed_descriptor_is_closed_when_the_last_Acquire_of_its_time_ends()
    {
        DescriptorInbox.AcquireScope first = _inbox.BeginAcquire();
        DescriptorInbox.AcquireScope second = _inbox.BeginAcquire();
        OwnedDescriptor descriptor = Arrive();
        DescriptorInbox.AcquireScope later = _inbox.BeginAcquire();

        second.Dispose();
        Assert.False(descriptor.IsClosed);
        first.Dispose();

        Assert.True(descriptor.IsClosed);
        later.Dispose();
    }

    [Fact]
    public async Task The_end_of_the_connection_closes_what_is_there_and_fails_who_waits()
    {
        using DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        OwnedDescriptor descriptor = Arrive();
        Task<OwnedDescriptor> waiting = _inbox.ClaimAsync(1, 1, TestToken).AsTask();

        _inbox.Close();

        Assert.True(descriptor.IsClosed);
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => waiting)).StatusCode);
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(async () => await _inbox.ClaimAsync(2, 1, TestToken))).StatusCode);
        Assert.True(Arrive().IsClosed);
    }

    [Fact]
    public async Task Whoever_stops_waiting_leaves_nothing_behind()
    {
        DescriptorInbox.AcquireScope acquire = _inbox.BeginAcquire();
        using CancellationTokenSource giveUp = new();
        Task<OwnedDescriptor> waiting = _inbox.ClaimAsync(0, 1, giveUp.Token).AsTask();

        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        OwnedDescriptor descriptor = Arrive();
        acquire.Dispose();

        Assert.True(descriptor.IsClosed);
    }

    private OwnedDescriptor Arrive()
    {
        OwnedDescriptor descriptor = TestDescriptors.Create();
        ((IDescriptorSink)_inbox).Received(descriptor);
        return descriptor;
    }
}
