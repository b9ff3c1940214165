using System.Net;
using BarBroker.Grpc;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Metering;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Hostile;

/// <summary>What Kestrel ends by itself, at limits that are set or known here: it is told nowhere but in the counters.</summary>
public sealed class ProtocolLimitTests
{
    private const int EndedAbnormally = 0;
    private const int TooManyOutputOperations = 60;
    private const int TooManyFrames = 111;
    private const int UserBlocked = 112;
    private const int UsualHeaders = 5;

    [Theory]
    [InlineData(64, HttpStatusCode.OK)]
    [InlineData(65, HttpStatusCode.RequestHeaderFieldsTooLarge)]
    public async Task A_call_has_up_to_64_headers(int headers, HttpStatusCode expected)
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);

        client.AddHeaders(1, TestService.UnaryPath, [.. Enumerable.Range(0, headers - UsualHeaders).Select(i => ($"x-{i}", "y"))]);
        client.AddData(1, RawClient.Frame(0, 0), end: true);
        client.Flush();

        Frame answer = await client.ReadAsync(FrameType.Headers);

        // RFC 7541, appendix A and section 6.1: :status 200 is the static table's; any other has to be written out.
        Assert.Equal(expected == HttpStatusCode.OK, answer.Payload[0] == 0x88);
        Assert.Contains(((int)expected).ToString(System.Globalization.CultureInfo.InvariantCulture), answer.Payload[0] == 0x88 ? "200" : System.Text.Encoding.ASCII.GetString(answer.Payload), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(900, true)]
    [InlineData(1024, false)]
    public async Task A_path_that_no_method_comes_near_is_not_looked_up(int length, bool isLookedUp)
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);

        client.AddHeaders(1, "/" + new string('x', length - 1));
        client.AddData(1, RawClient.Frame(0, 0), end: true);
        client.Flush();

        Frame? answer;
        do
        {
            answer = await client.ReadAsync();
        }
        while (answer is { Stream: 0 });

        Assert.Equal(isLookedUp ? FrameType.Headers : FrameType.ResetStream, answer!.Type);
    }

    [Fact]
    public async Task Headers_that_unfold_to_more_than_was_sent_end_the_connection()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);

        // RFC 7541: an entry of some 4000 bytes goes into the dynamic table, and is named a hundred times.
        byte[] entry = [0x40, 1, (byte)'x', 127, 0xc5, 0x1e, .. Enumerable.Repeat((byte)'y', 4036)];
        client.Add(FrameType.Headers, Frame.EndHeaders | Frame.EndStream, 1, [0x83, 0x86, 0x84, .. entry, .. Enumerable.Repeat((byte)0xbe, 100)]);
        client.Flush();

        await ReadToEndAsync(client);
        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.Connection]);
    }

    [Fact]
    public async Task Headers_that_are_no_HPACK_end_the_connection()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);

        // RFC 7541, section 6.1: there is no entry 126 yet.
        client.Add(FrameType.Headers, Frame.EndHeaders | Frame.EndStream, 1, [0x80 | 126]);
        client.Flush();

        await ReadToEndAsync(client);
        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.HeaderCompression]);
    }

    [Fact]
    public async Task What_Kestrel_stumbles_over_is_counted_held_against_its_user_and_logged_once()
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider());
        host.ExpectedEvents.UnionWith([EndedAbnormally, UserBlocked]);
        for (int i = 0; i < TransportLimits.OffencesPerWindow; i++)
        {
            using FrameClient client = new(host.SocketPath);

            // RFC 7541, section 6.1: there is no entry 0, and Kestrel looks for it all the same.
            client.Add(FrameType.Headers, Frame.EndHeaders | Frame.EndStream, 1, [0x80]);
            client.Flush();
            await ReadToEndAsync(client);
        }

        Assert.Equal(TransportLimits.OffencesPerWindow, host.Counters.ProtocolErrors[BrokenProtocol.Connection]);
        Assert.Single(host.Log.Entries, static entry => entry.EventId == EndedAbnormally);
        await Assert.ThrowsAsync<RpcException>(host.ConnectAsync);
        Assert.Equal(1, host.Counters.ConnectionsRefused[RefusedConnection.UserBlocked]);
    }

    [Fact]
    public async Task A_header_block_that_goes_on_and_on_ends_the_connection()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);
        client.Add(FrameType.Headers, 0, 1, [0x83, 0x86, 0x84]);
        for (int i = 0; i < 7; i++)
        {
            // A literal without indexing: the name x, and 4 KiB.
            client.Add(FrameType.Continuation, 0, 1, [0, 1, (byte)'x', 127, 0x81, 0x1f, .. Enumerable.Repeat((byte)'y', 4096)]);
        }

        client.Flush();

        await ReadToEndAsync(client);
        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.Connection]);
    }

    [Fact]
    public async Task Headers_that_are_not_ended_in_time_end_the_connection_and_a_call_whose_headers_are_there_may_last()
    {
        await using TestHost host = await TestHost.StartAsync(new GrpcServerOptions { Endpoints = [], RequestHeadersTimeout = TimeSpan.FromMilliseconds(500) });
        using FrameClient whole = new(host.SocketPath);
        whole.AddHeaders(1, TestService.UnaryPath);
        whole.Flush();
        using FrameClient half = new(host.SocketPath);
        half.Add(FrameType.Headers, 0, 1, [0x83, 0x86, 0x84]);
        half.Flush();

        await ReadToEndAsync(half);

        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.HeadersTimeout]);
        whole.AddData(1, RawClient.Frame(0, 0), end: true);
        whole.Flush();
        Assert.Equal(1u, (await whole.ReadAsync(FrameType.Headers)).Stream);
    }

    [Fact]
    public async Task A_frame_that_is_longer_than_was_agreed_ends_the_connection()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);
        client.Add(FrameType.Data, 0, 1, new byte[(16 * 1024) + 1]);
        client.Flush();

        await ReadToEndAsync(client);
        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.Connection]);
    }

    [Fact]
    public async Task One_call_more_than_was_agreed_is_refused_and_the_others_go_on()
    {
        const uint Agreed = 100;
        const uint RefusedStream = 7;
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);
        for (uint call = 0; call <= Agreed; call++)
        {
            client.AddHeaders(1 + (2 * call), TestService.UnaryPath);
        }

        client.Flush();
        Frame refused = await client.ReadAsync(FrameType.ResetStream);

        Assert.Equal((1 + (2 * Agreed), RefusedStream), (refused.Stream, refused.ErrorCode));
        Assert.Equal(1, host.Counters.ProtocolErrors[BrokenProtocol.Stream]);
        client.AddData(1, RawClient.Frame(0, 0), end: true);
        client.Flush();
        Assert.Equal(1u, (await client.ReadAsync(FrameType.Headers)).Stream);
    }

    [Fact]
    public async Task Calls_that_are_reset_at_once_end_the_connection_and_are_counted()
    {
        await using TestHost host = await TestHost.StartAsync(timeProvider: new FakeTimeProvider());
        host.ExpectedEvents.UnionWith([TooManyOutputOperations, TooManyFrames]);
        using FrameClient client = new(host.SocketPath);
        int resets = 2 * FrameLimits.Of(FrameKind.Reset).Burst;
        for (uint call = 0; call < resets; call++)
        {
            client.AddHeaders(1 + (2 * call), TestService.UnaryPath);
            client.Reset(1 + (2 * call));
        }

        client.Flush();

        // By Kestrel, when it can't drop them as fast; by the meter otherwise.
        await ReadToEndAsync(client);
        Assert.InRange(host.Counters.Frames[TakenFrame.Reset], 1, resets - 1);
        Assert.True(host.Counters.ProtocolErrors[BrokenProtocol.OutputQueue] + host.Counters.ProtocolErrors[BrokenProtocol.RapidReset] + host.Counters.FrameFloods[FrameKind.Reset] > 0);
    }

    [Fact]
    public async Task A_message_that_is_too_large_is_counted()
    {
        await using TestHost host = await TestHost.StartAsync(new GrpcServerOptions { Endpoints = [], MaxReceiveMessageSize = 100 });
        using RawClient client = new(host.SocketPath);

        Assert.Equal(StatusCode.ResourceExhausted, (await client.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 101))).Status);

        Assert.Equal(1, host.Counters.CallsRefused[RefusedCall.MessageTooLarge]);
    }

    private static async Task ReadToEndAsync(FrameClient client)
    {
        while (await client.ReadAsync() is not null)
        {
        }
    }
}
