using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using Xunit;

namespace BarBroker.Tests.Hostile;

/// <summary>Users whose misuse costs much are read more slowly; those who mean well never notice.</summary>
public sealed class PacingTests
{
    /// <summary>The least misuse slows its user down, for no longer than a test can wait.</summary>
    private static readonly UserLimits Strict = new(100, 100, 100, 1024) { Pace = new PaceLimit(BurstMicroseconds: 1_000, MicrosecondsPerSecond: 5_000) };

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    /// <summary>What costs more than its share: frames, each with how many, and so slowly paid off that a machine may be busy with other things for a second.</summary>
    public static TheoryData<int, int, int, int> Misuse { get; } = new()
    {
        { (int)FrameType.Ping, 8, 600, 500 },
        { (int)FrameType.Priority, 5, 100, 150 },
        { (int)FrameType.Settings, 0, 90, 150 },
    };

    [Theory]
    [MemberData(nameof(Misuse))]
    public async Task Frames_that_no_client_needs_slow_all_connections_of_their_user_down(int type, int length, int count, int paidPerSecond)
    {
        // As little as these cost.
        await using TestHost host = await TestHost.StartAsync(users: Strict with { Pace = new PaceLimit(PaceLimits.Arrival + PaceLimits.Frame, paidPerSecond) });
        using FrameClient client = new(host.SocketPath);
        for (int i = 0; i < count; i++)
        {
            client.Add((FrameType)type, 0, type == (int)FrameType.Priority ? 1u : 0, new byte[length]);
        }

        client.AddPing();
        client.Flush();
        await client.ReadAsync(FrameType.Ping);

        await using UnixGrpcChannel other = await host.ConnectAsync();
        await CallAsync(other);
        Assert.InRange(host.Counters.ReadsSlowed[SlowedRead.Misuse], 1, long.MaxValue);
    }

    [Fact]
    public async Task Calls_that_are_dropped_slow_their_user_down()
    {
        const int Calls = 50;
        await using TestHost host = await TestHost.StartAsync(users: Strict);
        using SemaphoreSlim begun = new(0);
        using SemaphoreSlim ended = new(0);
        host.Service.OnUnary = async (request, context) =>
        {
            begun.Release();
            try
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }
            finally
            {
                ended.Release();
            }

            return request;
        };
        using (FrameClient client = new(host.SocketPath))
        {
            for (uint call = 0; call < Calls; call++)
            {
                client.AddHeaders((2 * call) + 1, TestService.UnaryPath);
                client.AddData((2 * call) + 1, RawClient.Frame(0, 0), end: true);
            }

            client.Flush();
            await WaitAsync(begun, Calls);
            Assert.Equal(0, host.Counters.ReadsSlowed[SlowedRead.Misuse]);
        }

        await WaitAsync(ended, Calls);
        host.Service.OnUnary = static (request, _) => Task.FromResult(request);
        await using UnixGrpcChannel other = await host.ConnectAsync();
        await CallAsync(other);
        Assert.InRange(host.Counters.ReadsSlowed[SlowedRead.Misuse], 1, long.MaxValue);
    }

    [Fact]
    public async Task Streams_beyond_what_was_agreed_slow_their_user_down()
    {
        await using TestHost host = await TestHost.StartAsync(users: Strict);
        host.Service.OnUnary = static async (request, context) =>
        {
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return request;
        };
        using FrameClient client = new(host.SocketPath);
        for (uint call = 0; call < 150; call++)
        {
            client.AddHeaders((2 * call) + 1, TestService.UnaryPath);
        }

        client.AddPing();
        client.Flush();
        await client.ReadAsync(FrameType.Ping);
        client.AddPing();
        client.Flush();
        await client.ReadAsync(FrameType.Ping);

        Assert.InRange(host.Counters.ReadsSlowed[SlowedRead.Misuse], 1, long.MaxValue);
    }

    [Fact]
    public async Task Many_processes_of_one_user_that_start_at_once_and_cancel_calls_are_not_slowed_down()
    {
        const int Processes = 64;
        await using TestHost host = await TestHost.StartAsync(users: new UserLimits(1024, 256, 224, 1024));
        SemaphoreSlim[] begun = [.. Enumerable.Range(0, Processes).Select(static _ => new SemaphoreSlim(0))];
        host.Service.OnUnary = async (request, context) =>
        {
            if (request.ErrorCode > 0)
            {
                begun[request.ErrorCode - 1].Release();
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }

            return request;
        };

        await Task.WhenAll(Enumerable.Range(1, Processes).Select(process => Task.Run(() => StartUpAsync(host, process, begun[process - 1]), TestToken)));

        Assert.Equal(0, host.Counters.ReadsSlowed[SlowedRead.Misuse]);
    }

    [Fact]
    public async Task Pings_and_window_updates_that_follow_answers_slow_nobody_down()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);
        for (uint call = 0; call < 3000; call++)
        {
            // As grpc-go: both windows, and a ping to measure the round trip.
            uint stream = (2 * call) + 1;
            client.AddHeaders(stream, TestService.UnaryPath);
            client.AddData(stream, RawClient.Frame(0, 0), end: true);
            client.Flush();
            while (((await client.ReadAsync(FrameType.Headers)).Flags & Frame.EndStream) == 0)
            {
            }

            client.Add(FrameType.WindowUpdate, 0, 0, [0, 0, 0, 5]);
            client.AddPing();
            client.Flush();
        }

        Assert.Equal(0, host.Counters.ReadsSlowed[SlowedRead.Misuse]);
    }

    /// <summary>Two dozen leases, as far as the wire goes, and ten calls that are given up.</summary>
    private static async Task StartUpAsync(TestHost host, int process, SemaphoreSlim begun)
    {
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        for (int call = 0; call < 48; call++)
        {
            await CallAsync(channel);
        }

        for (int call = 0; call < 10; call++)
        {
            using CancellationTokenSource cancel = new();
            Task<ErrorResponse> given = CallAsync(channel, process, cancel.Token);
            await begun.WaitAsync(TestToken);
            await cancel.CancelAsync();
            Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(() => given)).StatusCode);
        }
    }

    private static async Task WaitAsync(SemaphoreSlim semaphore, int count)
    {
        for (int i = 0; i < count; i++)
        {
            await semaphore.WaitAsync(TestToken);
        }
    }

    private static Task<ErrorResponse> CallAsync(UnixGrpcChannel channel) => CallAsync(channel, 0, TestToken);

    private static Task<ErrorResponse> CallAsync(UnixGrpcChannel channel, int code, CancellationToken cancellationToken) => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
        TestService.UnaryPath, new ErrorResponse { ErrorCode = code }, new CallOptions(CancellationToken: cancellationToken));
}
