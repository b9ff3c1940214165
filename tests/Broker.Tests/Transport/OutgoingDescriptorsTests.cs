using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class OutgoingDescriptorsTests
{
    [Fact]
    public void Numbers_count_from_0_and_the_queue_keeps_their_order()
    {
        using SocketPair pair = new();
        OutgoingDescriptors outgoing = new(pair.Server.SafeHandle, new DescriptorShare(new DescriptorBudget(10, 10, new WireCounters())), 10);
        OwnedDescriptor first = TestDescriptors.Create();

        Assert.Equal(0UL, outgoing.Enqueue(first));
        Assert.Equal(1UL, outgoing.Enqueue(TestDescriptors.Create()));

        Assert.Same(first, outgoing.Peek(out int queued));
        Assert.Equal(2, queued);
        outgoing.MarkSent();
        Assert.True(first.IsClosed);
        outgoing.Close();
    }

    [Fact]
    public void Closing_closes_what_was_not_sent_and_frees_its_places()
    {
        using SocketPair pair = new();
        DescriptorBudget budget = new(10, 10, new WireCounters());
        OutgoingDescriptors outgoing = new(pair.Server.SafeHandle, new DescriptorShare(budget), 10);
        OwnedDescriptor descriptor = TestDescriptors.Create();
        outgoing.Enqueue(descriptor);
        Assert.Equal(1, budget.Used);

        Assert.Equal(0, outgoing.Close());

        Assert.True(descriptor.IsClosed);
        Assert.Equal(0, budget.Used);
    }

    [Fact]
    public void After_the_end_a_descriptor_is_closed_and_refused()
    {
        using SocketPair pair = new();
        DescriptorBudget budget = new(10, 10, new WireCounters());
        OutgoingDescriptors outgoing = new(pair.Server.SafeHandle, new DescriptorShare(budget), 10);
        outgoing.Refuse();
        OwnedDescriptor descriptor = TestDescriptors.Create();

        Assert.Throws<IOException>(() => outgoing.Enqueue(descriptor));

        Assert.True(descriptor.IsClosed);
        Assert.Equal(0, budget.Used);
        outgoing.Close();
    }

    [Fact]
    public void One_connection_can_not_take_more_than_its_share_until_its_peer_reads()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        DescriptorBudget budget = new(100, 100, new WireCounters());
        OutgoingDescriptors outgoing = new(pair.Server.SafeHandle, new DescriptorShare(budget), 3);
        for (int i = 0; i < 3; i++)
        {
            Send(outgoing, pair);
        }

        OwnedDescriptor refused = TestDescriptors.Create();
        Assert.Throws<DescriptorBudgetException>(() => outgoing.Enqueue(refused));
        Assert.True(refused.IsClosed);
        Read(pair, sink);

        Send(outgoing, pair);
        Assert.Equal(1, outgoing.Close());
    }

    [Fact]
    public void A_full_budget_asks_what_the_peers_of_others_have_read()
    {
        using SocketPair reading = new();
        using SocketPair asking = new();
        using RecordingSink sink = new();
        DescriptorBudget budget = new(2, 2, new WireCounters());
        OutgoingDescriptors first = new(reading.Server.SafeHandle, new DescriptorShare(budget), 10);
        OutgoingDescriptors second = new(asking.Server.SafeHandle, new DescriptorShare(budget), 10);
        Send(first, reading);
        Send(first, reading);
        OwnedDescriptor refused = TestDescriptors.Create();
        Assert.Throws<DescriptorBudgetException>(() => second.Enqueue(refused));
        Assert.True(refused.IsClosed);

        Read(reading, sink);

        Assert.Equal(0UL, second.Enqueue(TestDescriptors.Create()));
        Assert.Equal(0, first.Close());
        Assert.Equal(0, second.Close());
        Assert.Equal(0, budget.Used);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_peer_leaves_unread_stays_charged_until_it_reads_or_closes(bool reads)
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        DescriptorBudget budget = new(10, 10, new WireCounters());
        OutgoingDescriptors outgoing = new(pair.Server.SafeHandle, new DescriptorShare(budget), 10);
        Send(outgoing, pair);
        Send(outgoing, pair);
        TaskCompletionSource settled = new(TaskCreationOptions.RunContinuationsAsynchronously);

        pair.Server.Shutdown(System.Net.Sockets.SocketShutdown.Both);
        int unread = outgoing.Close();
        UnreadDescriptors.Await(pair.Server, unread, outgoing.Share, settled.SetResult);

        Assert.Equal((2, 2), (unread, budget.Used));
        Assert.False(settled.Task.IsCompleted);
        if (reads)
        {
            Read(pair, sink);
            Assert.Equal(2, sink.Descriptors.Count);
        }
        else
        {
            pair.Client.Dispose();
        }

        await settled.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, budget.Used);
    }

    private static void Send(OutgoingDescriptors outgoing, SocketPair pair)
    {
        outgoing.Enqueue(TestDescriptors.Create());
        Assert.Equal(1, DescriptorSocket.TrySend(pair.Server.SafeHandle, [0], outgoing.Peek(out _)));
        outgoing.MarkSent();
    }

    private static void Read(SocketPair pair, RecordingSink sink)
    {
        while (DescriptorSocket.TryReceive(pair.Client.SafeHandle, new byte[64], sink) > 0)
        {
        }
    }
}
