using System.Buffers.Binary;
using System.Text;
using BarBroker.Grpc;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Metering;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Hostile;

/// <summary>Frames that cost the server work, in numbers that no client needs: the connection ends, and nobody else notices.</summary>
public sealed class FrameFloodTests
{
    private const uint EnhanceYourCalm = 11;
    private const int FloodEvent = 111;
    private const int BlockedEvent = 112;
    private const FrameType Unknown = (FrameType)0xee;

    /// <summary>Kinds, each with a frame of theirs.</summary>
    public static TheoryData<string, int, byte, int> Kinds { get; } = new()
    {
        { nameof(FrameKind.Ping), (int)FrameType.Ping, 0, 8 },
        { nameof(FrameKind.Ping), (int)FrameType.Ping, Frame.Ack, 8 },
        { nameof(FrameKind.Settings), (int)FrameType.Settings, 0, 0 },
        { nameof(FrameKind.Settings), (int)FrameType.Settings, Frame.Ack, 0 },
        { nameof(FrameKind.Priority), (int)FrameType.Priority, 0, 5 },
        { nameof(FrameKind.WindowUpdate), (int)FrameType.WindowUpdate, 0, 4 },
        { nameof(FrameKind.TinyData), (int)FrameType.Data, 0, 0 },
        { nameof(FrameKind.Reset), (int)FrameType.ResetStream, 0, 4 },
        { nameof(FrameKind.Other), (int)Unknown, 0, 0 },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_burst_is_served(string kind, int type, byte flags, int length)
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider());
        using FrameClient client = Connect(host, (FrameType)type);

        // The client's first SETTINGS, and the PING that asks whether it is still served, count as well.
        Add(client, FrameLimits.Of(Parse(kind)).Burst - 2, (FrameType)type, flags, length);
        Add(client, 1, FrameType.Ping, 0, 8);
        client.Flush();

        await ReadAnswersAsync(client, kind == nameof(FrameKind.Ping) && flags == 0 ? FrameLimits.Of(FrameKind.Ping).Burst - 1 : 1);
        Assert.Equal(0, host.Counters.FrameFloods[Parse(kind)]);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_flood_ends_its_connection_and_is_counted_while_others_are_served(string kind, int type, byte flags, int length)
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider());
        host.ExpectedEvents.Add(FloodEvent);
        using RawClient other = new(host.SocketPath);
        Assert.Equal(StatusCode.OK, (await other.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0))).Status);
        using FrameClient client = Connect(host, (FrameType)type);

        // Answers to pings earn some: a quarter.
        Add(client, FrameLimits.Of(Parse(kind)).Burst * 2, (FrameType)type, flags, length);
        client.Flush();

        Frame? last = null;
        while (await client.ReadAsync() is { } frame)
        {
            last = frame;
        }

        Assert.Equal(FrameType.GoAway, last?.Type);
        Assert.Equal(EnhanceYourCalm, BinaryPrimitives.ReadUInt32BigEndian(last!.Payload.AsSpan(4)));
        Assert.Contains($"too many {kind} frames", Encoding.ASCII.GetString(last.Payload), StringComparison.Ordinal);
        Assert.Equal(1, host.Counters.FrameFloods[Parse(kind)]);
        TestLog.Entry line = Assert.Single(host.Log.Entries);
        Assert.Equal((FloodEvent, LogLevel.Warning), (line.EventId, line.Level));
        Assert.Contains($"{FrameLimits.Of(Parse(kind)).Burst} at once", line.Message, StringComparison.Ordinal);
        Assert.Equal(StatusCode.OK, (await other.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0))).Status);
    }

    [Theory]
    [InlineData(FrameLimits.ContinuationsInARow, true)]
    [InlineData(FrameLimits.ContinuationsInARow + 1, false)]
    public async Task A_header_block_may_come_in_few_pieces_even_if_they_are_empty(int continuations, bool isTaken)
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider());
        host.ExpectedEvents.Add(FloodEvent);
        using FrameClient client = new(host.SocketPath);

        // HPACK: GET, http, / and nothing else, which is no gRPC.
        client.Add(FrameType.Headers, Frame.EndStream, 1, [0x82, 0x86, 0x84]);
        for (int i = 1; i < continuations; i++)
        {
            client.Add(FrameType.Continuation, 0, 1, []);
        }

        client.Add(FrameType.Continuation, Frame.EndHeaders, 1, []);
        client.Flush();

        Frame? answer;
        do
        {
            answer = await client.ReadAsync();
        }
        while (answer is not null and not { Stream: 1 });

        Assert.Equal(isTaken, answer is not null);
        Assert.Equal(isTaken ? 0 : 1, host.Counters.FrameFloods[FrameKind.Continuation]);
    }

    [Fact]
    public async Task Floods_of_one_user_fill_no_log()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(timeProvider: time);
        host.ExpectedEvents.Add(FloodEvent);
        for (int i = 0; i < 4; i++)
        {
            await FloodAsync(host);
        }

        Assert.Contains("(0 more", Assert.Single(host.Log.Entries).Message, StringComparison.Ordinal);
        time.Advance(WarningThrottle.Interval);
        await FloodAsync(host);
        Assert.Contains("(3 more", host.Log.Entries.Last().Message, StringComparison.Ordinal);
        Assert.Equal(5, host.Counters.FrameFloods[FrameKind.Other]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_user_who_floods_again_and_again_gets_no_connection_for_a_while(bool isEndedByKestrel)
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(timeProvider: time, users: new UserLimits(100, 100, 100, 100) { Pace = TestHost.Unpaced });
        host.ExpectedEvents.UnionWith([FloodEvent, BlockedEvent]);
        for (int i = 0; i < TransportLimits.OffencesPerWindow; i++)
        {
            Assert.Equal(0, host.Counters.ConnectionsRefused[RefusedConnection.UserBlocked]);
            await (isEndedByKestrel ? SendNonsenseAsync(host) : FloodAsync(host));
        }

        await Assert.ThrowsAsync<RpcException>(host.ConnectAsync);
        Assert.Equal(1, host.Counters.ConnectionsRefused[RefusedConnection.UserBlocked]);
        Assert.Single(host.Log.Entries, entry => entry.EventId == BlockedEvent);

        time.Advance(TransportLimits.OffenceWindow);
        await (await host.ConnectAsync()).DisposeAsync();
    }

    private static async Task SendNonsenseAsync(TestHost host)
    {
        using FrameClient client = new(host.SocketPath);

        // RFC 9113, section 6.5: SETTINGS are the connection's.
        client.Add(FrameType.Settings, 0, 1, []);
        client.Flush();
        while (await client.ReadAsync() is not null)
        {
        }
    }

    private static async Task FloodAsync(TestHost host)
    {
        using FrameClient client = new(host.SocketPath);
        Add(client, FrameLimits.Of(FrameKind.Other).Burst + 1, Unknown, 0, 0);
        client.Flush();
        while (await client.ReadAsync() is not null)
        {
        }
    }

    /// <summary>DATA and RST_STREAM need a call: one whose request stays open, and one that is over.</summary>
    private static FrameClient Connect(TestHost host, FrameType type)
    {
        FrameClient client = new(host.SocketPath);
        if (type is FrameType.Data or FrameType.ResetStream)
        {
            client.AddHeaders(1, TestService.DuplexPath);
        }

        return client;
    }

    private static void Add(FrameClient client, int count, FrameType type, byte flags, int length)
    {
        uint stream = type is FrameType.Data or FrameType.ResetStream or FrameType.Priority ? 1u : 0;
        byte[] payload = new byte[length];
        if (type == FrameType.WindowUpdate)
        {
            payload[^1] = 1;
        }

        for (int i = 0; i < count; i++)
        {
            client.Add(type, flags, stream, payload);
        }
    }

    private static async Task ReadAnswersAsync(FrameClient client, int pings)
    {
        for (int i = 0; i < pings; i++)
        {
            await client.ReadAsync(FrameType.Ping);
        }
    }

    private static FrameKind Parse(string kind) => Enum.Parse<FrameKind>(kind);
}
