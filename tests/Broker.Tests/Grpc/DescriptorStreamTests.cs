using BarBroker.Client.Grpc;
using BarBroker.Tests.Transport;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>The connection as HTTP sees it.</summary>
public sealed class DescriptorStreamTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_read_without_a_buffer_waits_and_loses_no_descriptor()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        await using DescriptorStream stream = new(pair.Client, sink, static () => { });
        Task<int> wait = stream.ReadAsync(Memory<byte>.Empty, TestToken).AsTask();
        Assert.False(wait.IsCompleted);

        using OwnedDescriptor descriptor = TestDescriptors.Create();
        DescriptorSocket.TrySend(pair.Server.SafeHandle, "a"u8, descriptor);

        Assert.Equal(0, await wait.WaitAsync(TestToken));
        Assert.Empty(sink.Descriptors);
        Assert.Equal(1, await stream.ReadAsync(new byte[8], TestToken));
        Assert.Equal(Files.InodeOf(descriptor), Files.InodeOf(Assert.Single(sink.Descriptors)));
    }

    [Fact]
    public async Task The_end_of_the_other_side_ends_a_read_that_waits()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        int closed = 0;
        await using DescriptorStream stream = new(pair.Client, sink, () => closed++);
        Task<int> read = stream.ReadAsync(new byte[8], TestToken).AsTask();
        Assert.False(read.IsCompleted);

        pair.Server.Dispose();

        Assert.Equal(0, await read.WaitAsync(TestToken));
        Assert.True(stream.IsOver);
        Assert.Equal(1, closed);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    public async Task Disposing_it_ends_a_read_that_waits_and_closes_the_socket(int room)
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        DescriptorStream stream = new(pair.Client, sink, static () => { });
        Task<int> read = stream.ReadAsync(new byte[room], TestToken).AsTask();
        Assert.False(read.IsCompleted);

        await stream.DisposeAsync();

        Assert.Equal(0, await read.WaitAsync(TestToken));
        Assert.True(pair.Client.SafeHandle.IsClosed);
        Assert.True(stream.IsOver);
        Assert.Equal(0, DescriptorSocket.TryReceive(pair.Server.SafeHandle, new byte[1]));
        await Assert.ThrowsAsync<IOException>(() => stream.ReadAsync(new byte[8], TestToken).AsTask());
    }
}
