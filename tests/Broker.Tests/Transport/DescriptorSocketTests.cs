using System.Runtime.InteropServices;
using BarBroker.Tests.Grpc;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class DescriptorSocketTests
{
    [Fact]
    public void A_descriptor_arrives_as_the_same_file_and_closed_on_exec()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();

        Assert.Equal(3, DescriptorSocket.TrySend(pair.Server.SafeHandle, [1, 2, 3], descriptor));
        byte[] buffer = new byte[16];
        Assert.Equal(3, DescriptorSocket.TryReceive(pair.Client.SafeHandle, buffer, sink));

        OwnedDescriptor received = Assert.Single(sink.Descriptors);
        Assert.Equal(Files.InodeOf(descriptor), Files.InodeOf(received));
        Assert.Equal([1, 2, 3], buffer[..3]);
        string flags = File.ReadLines($"/proc/self/fdinfo/{received.DangerousGetHandle()}").First(line => line.StartsWith("flags:", StringComparison.Ordinal));
        Assert.NotEqual(0, Convert.ToInt32(flags["flags:".Length..].Trim(), 8) & 0x80000);
    }

    [Fact]
    public void Descriptors_of_several_sends_arrive_in_order()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        List<ulong> sent = [];
        for (int i = 0; i < 20; i++)
        {
            using OwnedDescriptor descriptor = TestDescriptors.Create();
            sent.Add(Files.InodeOf(descriptor));
            Assert.Equal(1, DescriptorSocket.TrySend(pair.Server.SafeHandle, [(byte)i], descriptor));
        }

        byte[] buffer = new byte[256];
        int bytes = 0;
        while (bytes < 20)
        {
            bytes += DescriptorSocket.TryReceive(pair.Client.SafeHandle, buffer, sink);
        }

        Assert.Equal(sent, sink.Descriptors.Select(static descriptor => Files.InodeOf(descriptor)));
    }

    [Fact]
    public void A_partial_write_sends_its_descriptor_once()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        byte[] much = new byte[4 * 1024 * 1024];

        int sent = DescriptorSocket.TrySend(pair.Server.SafeHandle, much, descriptor);
        Assert.InRange(sent, 1, much.Length - 1);
        int received = 0;
        while (received < sent)
        {
            received += DescriptorSocket.TryReceive(pair.Client.SafeHandle, much, sink);
        }

        Assert.Single(sink.Descriptors);
    }

    [Fact]
    public void A_full_socket_takes_neither_bytes_nor_descriptor()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        byte[] block = new byte[64 * 1024];
        int filled = 0;
        for (int sent = 0; sent != DescriptorSocket.WouldBlock; sent = DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null))
        {
            filled += sent;
        }

        Assert.Equal(DescriptorSocket.WouldBlock, DescriptorSocket.TrySend(pair.Server.SafeHandle, block, descriptor));
        for (int received = 0; received < filled;)
        {
            received += DescriptorSocket.TryReceive(pair.Client.SafeHandle, block, sink);
        }

        Assert.Equal(DescriptorSocket.WouldBlock, DescriptorSocket.TryReceive(pair.Client.SafeHandle, block, sink));
        Assert.Empty(sink.Descriptors);
    }

    [Fact]
    public async Task Writability_is_reported_once_the_peer_has_read()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        byte[] block = new byte[64 * 1024];
        int filled = 0;
        for (int sent = 0; sent != DescriptorSocket.WouldBlock; sent = DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null))
        {
            filled += sent;
        }

        using ReadinessSignal writable = ReadinessSignal.ForWriting(pair.Server.SafeHandle);
        for (int round = 0; round < 3; round++)
        {
            Task wait = writable.WaitAsync().AsTask();
            Assert.False(wait.IsCompleted);
            for (int received = 0; received < filled;)
            {
                received += DescriptorSocket.TryReceive(pair.Client.SafeHandle, block, sink);
            }

            await wait.WaitAsync(TestContext.Current.CancellationToken);
            filled = 0;
            for (int sent = 0; sent != DescriptorSocket.WouldBlock; sent = DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null))
            {
                filled += sent;
            }
        }
    }

    [Fact]
    public async Task The_end_of_the_peer_wakes_whoever_waits_for_room()
    {
        using SocketPair pair = new();
        byte[] block = new byte[64 * 1024];
        while (DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null) != DescriptorSocket.WouldBlock)
        {
        }

        using ReadinessSignal writable = ReadinessSignal.ForWriting(pair.Server.SafeHandle);
        Task wait = writable.WaitAsync().AsTask();
        pair.Client.Dispose();
        await wait.WaitAsync(TestContext.Current.CancellationToken);

        UnixException failure = Assert.Throws<UnixException>(() => DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null));
        Assert.Contains(failure.Errno, new[] { Errno.BrokenPipe, Errno.ConnectionReset });
    }

    [Fact]
    public void A_peek_takes_neither_bytes_nor_descriptors()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        Assert.Equal(DescriptorSocket.WouldBlock, DescriptorSocket.TryPeek(pair.Client.SafeHandle, []));
        DescriptorSocket.TrySend(pair.Server.SafeHandle, "ab"u8, descriptor);

        byte[] bytes = new byte[2];
        Assert.Equal(0, DescriptorSocket.TryPeek(pair.Client.SafeHandle, []));
        Assert.Equal(2, DescriptorSocket.TryPeek(pair.Client.SafeHandle, bytes));
        Assert.Equal("ab"u8, bytes);

        Assert.Equal(2, DescriptorSocket.TryReceive(pair.Client.SafeHandle, bytes, sink));
        Assert.Equal(Files.InodeOf(descriptor), Files.InodeOf(Assert.Single(sink.Descriptors)));
        Assert.Equal(DescriptorSocket.WouldBlock, DescriptorSocket.TryPeek(pair.Client.SafeHandle, []));
    }

    [Fact]
    public void A_read_without_a_sink_drops_descriptors_and_loses_no_bytes()
    {
        using SocketPair pair = new();
        HashSet<ulong> inodes;
        using (OwnedDescriptor descriptor = TestDescriptors.Create())
        {
            inodes = [Files.InodeOf(descriptor)];
            DescriptorSocket.TrySend(pair.Server.SafeHandle, "ab"u8, descriptor);
        }

        byte[] bytes = new byte[3];
        Assert.Equal(2, DescriptorSocket.TryReceive(pair.Client.SafeHandle, bytes));
        Assert.Equal("ab"u8, bytes.AsSpan(0, 2));
        Assert.Equal(0, TestDescriptors.CountOpen(inodes));
    }

    [Fact]
    public async Task Readability_is_reported_for_bytes_that_come_for_those_that_are_there_and_for_the_end()
    {
        using SocketPair pair = new();
        using ReadinessSignal readable = ReadinessSignal.ForReading(pair.Client.SafeHandle);
        byte[] bytes = new byte[1];

        Task wait = readable.WaitAsync().AsTask();
        Assert.False(wait.IsCompleted);
        DescriptorSocket.TrySend(pair.Server.SafeHandle, "ab"u8, null);
        await wait.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, DescriptorSocket.TryReceive(pair.Client.SafeHandle, bytes));

        await readable.WaitAsync().AsTask().WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, DescriptorSocket.TryReceive(pair.Client.SafeHandle, bytes));

        wait = readable.WaitAsync().AsTask();
        Assert.False(wait.IsCompleted);
        pair.Server.Dispose();
        await wait.WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_socket_can_be_waited_for_in_both_directions_at_once()
    {
        using SocketPair pair = new();
        byte[] block = new byte[64 * 1024];
        while (DescriptorSocket.TrySend(pair.Server.SafeHandle, block, null) != DescriptorSocket.WouldBlock)
        {
        }

        using ReadinessSignal writable = ReadinessSignal.ForWriting(pair.Server.SafeHandle);
        using ReadinessSignal readable = ReadinessSignal.ForReading(pair.Server.SafeHandle);
        Task room = writable.WaitAsync().AsTask();
        Task bytes = readable.WaitAsync().AsTask();

        DescriptorSocket.TrySend(pair.Client.SafeHandle, "a"u8, null);
        await bytes.WaitAsync(TestContext.Current.CancellationToken);
        Assert.False(room.IsCompleted);
        while (DescriptorSocket.TryReceive(pair.Client.SafeHandle, block) != DescriptorSocket.WouldBlock)
        {
        }

        await room.WaitAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public void The_end_of_the_stream_reads_as_0()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        pair.Server.Dispose();

        Assert.Equal(0, DescriptorSocket.TryReceive(pair.Client.SafeHandle, new byte[1], sink));
    }

    [Fact]
    public void The_kernel_charges_each_unread_descriptor_no_less_than_assumed()
    {
        using SocketPair pair = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        for (int i = 1; i <= 50; i++)
        {
            DescriptorSocket.TrySend(pair.Server.SafeHandle, [0], descriptor);

            Assert.True(DescriptorSocket.GetUnreadMemory(pair.Server.SafeHandle) >= i * BarBroker.Transport.TransportLimits.MinMemoryPerMessage);
        }
    }
}

/// <summary>Runs alone: it takes the whole process's descriptor table away for a moment.</summary>
[Collection(nameof(FullDescriptorTable))]
public sealed partial class FullDescriptorTableTests
{
    private const int DescriptorLimit = 7;

    [Fact]
    public void A_full_descriptor_table_loses_exactly_the_descriptors_and_no_bytes()
    {
        using SocketPair pair = new();
        using RecordingSink sink = new();
        using OwnedDescriptor descriptor = TestDescriptors.Create();
        for (byte i = 0; i < 3; i++)
        {
            DescriptorSocket.TrySend(pair.Server.SafeHandle, [i], descriptor);
        }

        byte[] buffer = new byte[8];
        Assert.Equal(0, GetLimit(DescriptorLimit, out Limit limit));
        Assert.Equal(0, SetLimit(DescriptorLimit, limit with { Current = 3 }));
        int first;
        int second;
        try
        {
            first = DescriptorSocket.TryReceive(pair.Client.SafeHandle, buffer.AsSpan(0, 1), sink);
            second = DescriptorSocket.TryReceive(pair.Client.SafeHandle, buffer.AsSpan(1, 1), sink);
        }
        finally
        {
            Assert.Equal(0, SetLimit(DescriptorLimit, limit));
        }

        int third = DescriptorSocket.TryReceive(pair.Client.SafeHandle, buffer.AsSpan(2), sink);

        Assert.Equal((1, 1, 1), (first, second, third));
        Assert.Equal([0, 1, 2], buffer[..3]);
        Assert.Equal(2, sink.LostCount);
        Assert.Single(sink.Descriptors);
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetLimit(int resource, out Limit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetLimit(int resource, in Limit limit);

    [StructLayout(LayoutKind.Sequential)]
    private record struct Limit(ulong Current, ulong Maximum);
}

[CollectionDefinition(nameof(FullDescriptorTable), DisableParallelization = true)]
public sealed class FullDescriptorTable;
