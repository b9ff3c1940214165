using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Rpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Calls from our client to our server: what each end sees when the other ends, fails, waits or gives up.</summary>
public sealed class CallTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_handlers_RpcException_reaches_the_caller_whole()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = (_, _) => throw RpcErrors.Create(
            StatusCode.NotFound, "Es gibt kein Gerät „nvme%0“.\n\ud83d\ude00", "DEVICE_UNKNOWN", ("device", "nvme0"));
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await FailAsync(channel);

        Assert.Equal(StatusCode.NotFound, failure.StatusCode);
        Assert.Equal("Es gibt kein Gerät „nvme%0“.\n\ud83d\ude00", failure.Status.Detail);
        Assert.Equal("DEVICE_UNKNOWN", failure.GetReason());
        Assert.Equal("nvme0", failure.GetReasonMetadata()["device"]);
    }

    [Fact]
    public async Task Any_other_exception_is_UNKNOWN_is_logged_and_tells_nothing()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.ExpectedEvents.Add(202);
        host.Service.OnUnary = (_, _) => throw new InvalidOperationException("secret");
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await FailAsync(channel);

        Assert.Equal(StatusCode.Unknown, failure.StatusCode);
        Assert.DoesNotContain("secret", failure.Status.Detail, StringComparison.Ordinal);
        Assert.Equal("secret", Assert.Single(host.Log.Entries).Exception!.Message);
    }

    [Fact]
    public async Task Metadata_travels_both_ways()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = (_, context) => throw new RpcException(
            new Status(StatusCode.Aborted, "x"),
            new Metadata { { "text", context.RequestHeaders.GetValue("text")! }, { "raw-bin", context.RequestHeaders.GetValueBytes("raw-bin")! } });
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        Metadata headers = new() { { "text", "hello" }, { "raw-bin", [0, 255, 7, 8] } };
        RpcException failure = await FailAsync(channel, new CallOptions(Headers: headers, CancellationToken: TestToken));

        Assert.Equal("hello", failure.Trailers.GetValue("text"));
        Assert.Equal([0, 255, 7, 8], failure.Trailers.GetValueBytes("raw-bin"));
    }

    [Fact]
    public async Task A_deadline_ends_the_call_and_cancels_the_handler()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource cancelled = new();
        host.Service.OnUnary = async (_, context) =>
        {
            await using (context.CancellationToken.Register(cancelled.SetResult))
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }

            return new ErrorResponse();
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await FailAsync(channel, new CallOptions(DateTimeOffset.UtcNow.AddMilliseconds(200), CancellationToken: TestToken));

        Assert.Equal(StatusCode.DeadlineExceeded, failure.StatusCode);
        await cancelled.Task.WaitAsync(TestToken);
    }

    [Fact]
    public async Task The_server_says_DEADLINE_EXCEEDED_even_while_the_handler_ignores_its_token()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource release = new();
        host.Service.OnUnary = async (request, _) =>
        {
            await release.Task;
            return request;
        };
        using RawClient client = new(host.SocketPath);

        // No deadline of its own here: only the server's answer can end the wait.
        RawResponse response = await client.PostAsync(TestService.UnaryPath, RawClient.Frame(0, 0), ("grpc-timeout", "100m"));
        release.SetResult();

        Assert.Equal(StatusCode.DeadlineExceeded, response.Status);
    }

    [Fact]
    public async Task A_deadline_during_a_stream_keeps_what_was_sent_and_ends_it_with_the_status()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnServerStream = async (_, responses, context) =>
        {
            await responses.WriteAsync(new ErrorResponse { ErrorCode = 1 }, context.CancellationToken);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        using RawClient client = new(host.SocketPath);

        RawResponse response = await client.PostAsync(TestService.ServerStreamPath, RawClient.Frame(0, 0), ("grpc-timeout", "200m"));

        Assert.Equal(StatusCode.DeadlineExceeded, response.Status);
        Assert.Equal([0, 0, 0, 0, 2, 8, 1], response.Body);
    }

    [Fact]
    public async Task A_caller_that_gives_up_gets_CANCELLED_and_the_handlers_token_is_cancelled()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource started = new();
        TaskCompletionSource cancelled = new();
        host.Service.OnUnary = async (_, context) =>
        {
            await using (context.CancellationToken.Register(cancelled.SetResult))
            {
                started.SetResult();
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }

            return new ErrorResponse();
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using CancellationTokenSource giveUp = new();

        Task<RpcException> call = FailAsync(channel, new CallOptions(CancellationToken: giveUp.Token));
        await started.Task.WaitAsync(TestToken);
        await giveUp.CancelAsync();

        Assert.Equal(StatusCode.Cancelled, (await call).StatusCode);
        await cancelled.Task.WaitAsync(TestToken);
    }

    [Fact]
    public async Task Ending_an_enumeration_early_cancels_the_handler()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource cancelled = new();
        host.Service.OnServerStream = async (_, responses, context) =>
        {
            await using (context.CancellationToken.Register(cancelled.SetResult))
            {
                await responses.WriteAsync(new ErrorResponse(), context.CancellationToken);
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        await foreach (ErrorResponse _ in StreamAsync(channel, 0))
        {
            break;
        }

        await cancelled.Task.WaitAsync(TestToken);
    }

    [Fact]
    public async Task Headers_that_are_sent_at_once_start_the_stream_before_its_first_message()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource release = new();
        host.Service.OnServerStream = async (_, responses, context) =>
        {
            await context.WriteResponseHeadersAsync(new Metadata { { "early", "yes" } });
            await release.Task;
            await responses.WriteAsync(new ErrorResponse { ErrorCode = 5 }, context.CancellationToken);
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        await using IAsyncEnumerator<ErrorResponse> responses = StreamAsync(channel, 0).GetAsyncEnumerator(TestToken);
        ValueTask<bool> first = responses.MoveNextAsync();
        Assert.False(first.IsCompleted);
        release.SetResult();

        Assert.True(await first);
        Assert.Equal(5, responses.Current.ErrorCode);
        Assert.False(await responses.MoveNextAsync());
    }

    [Fact]
    public async Task A_reader_that_stops_stops_the_writer_too()
    {
        await using TestHost host = await TestHost.StartAsync();
        int written = 0;
        TaskCompletionSource ended = new();
        string big = new('x', 32 * 1024);
        host.Service.OnServerStream = async (_, responses, context) =>
        {
            try
            {
                while (true)
                {
                    await responses.WriteAsync(new ErrorResponse { ErrorMessage = big }, context.CancellationToken);
                    Interlocked.Increment(ref written);
                }
            }
            finally
            {
                ended.SetResult();
            }
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        IAsyncEnumerator<ErrorResponse> responses = StreamAsync(channel, 0).GetAsyncEnumerator(TestToken);
        Assert.True(await responses.MoveNextAsync());

        // The writer has come to rest when another call, which shares the connection, sees no more of its writes.
        int before = -1;
        while (before != Volatile.Read(ref written))
        {
            before = Volatile.Read(ref written);
            for (int i = 0; i < 50; i++)
            {
                await UnaryAsync(channel);
            }
        }

        // Two windows and two buffers of some 64 KiB, in messages of 32 KiB.
        Assert.InRange(before, 1, 64);
        await responses.DisposeAsync();
        await ended.Task.WaitAsync(TestToken);
    }

    [Fact]
    public async Task A_large_message_goes_through_in_both_directions()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        string text = new('y', 900_000);

        ErrorResponse response = await channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse { ErrorMessage = text }, new CallOptions(CancellationToken: TestToken));

        Assert.Equal(text, response.ErrorMessage);
    }

    [Fact]
    public async Task A_stream_of_many_messages_arrives_in_order()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        int expected = 0;
        await foreach (ErrorResponse response in StreamAsync(channel, 2000))
        {
            Assert.Equal(expected++, response.ErrorCode);
        }

        Assert.Equal(2000, expected);
    }

    [Fact]
    public async Task Stopping_lets_unary_calls_finish_ends_streams_with_UNAVAILABLE_and_closes_the_connection()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource started = new();
        TaskCompletionSource release = new();
        host.Service.OnUnary = async (request, _) =>
        {
            started.SetResult();
            await release.Task;
            return request;
        };
        host.Service.OnServerStream = async (_, responses, context) =>
        {
            await responses.WriteAsync(new ErrorResponse(), context.CancellationToken);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        await using IAsyncEnumerator<ErrorResponse> stream = StreamAsync(channel, 0).GetAsyncEnumerator(TestToken);
        Assert.True(await stream.MoveNextAsync());
        Task<ErrorResponse> unary = UnaryAsync(channel);
        await started.Task.WaitAsync(TestToken);

        Task stopping = host.Server.StopAsync(TestToken);
        RpcException failure = await Assert.ThrowsAsync<RpcException>(async () => await stream.MoveNextAsync());
        release.SetResult();

        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        await unary;
        await stopping;
        await Cancelled(channel.Closed).WaitAsync(TestToken);
        Assert.Equal(StatusCode.Unavailable, (await FailAsync(channel)).StatusCode);
    }

    [Fact]
    public async Task Stopping_has_a_bound()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource started = new();
        host.Service.OnUnary = async (_, context) =>
        {
            started.SetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return new ErrorResponse();
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        Task<RpcException> call = FailAsync(channel);
        await started.Task.WaitAsync(TestToken);

        await host.Server.StopAsync(new CancellationToken(canceled: true));

        Assert.Equal(StatusCode.Unavailable, (await call).StatusCode);
    }

    [Fact]
    public async Task Disposing_the_channel_fails_its_calls_with_UNAVAILABLE()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource started = new();
        host.Service.OnUnary = async (_, context) =>
        {
            started.SetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return new ErrorResponse();
        };
        UnixGrpcChannel channel = await host.ConnectAsync();
        Task<RpcException> call = FailAsync(channel);
        await started.Task.WaitAsync(TestToken);

        await channel.DisposeAsync();

        Assert.Equal(StatusCode.Unavailable, (await call).StatusCode);
        await Cancelled(channel.Closed).WaitAsync(TestToken);
    }

    [Fact]
    public async Task Connecting_to_nothing_is_UNAVAILABLE_and_says_so()
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => UnixGrpcChannel.ConnectAsync("/nonexistent/broker.sock", TestToken));

        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        Assert.Contains("There is no socket /nonexistent/broker.sock", failure.Status.Detail, StringComparison.Ordinal);
    }

    private static Task Cancelled(CancellationToken token)
    {
        TaskCompletionSource cancelled = new();
        token.Register(cancelled.SetResult);
        return cancelled.Task;
    }

    private static Task<ErrorResponse> UnaryAsync(UnixGrpcChannel channel) => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
        TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken));

    private static IAsyncEnumerable<ErrorResponse> StreamAsync(UnixGrpcChannel channel, int count) =>
        channel.ServerStreamingAsync<ErrorResponse, ErrorResponse>(
            TestService.ServerStreamPath, new ErrorResponse { ErrorCode = count }, new CallOptions(CancellationToken: TestToken));

    private static Task<RpcException> FailAsync(UnixGrpcChannel channel, CallOptions? options = null) => Assert.ThrowsAsync<RpcException>(
        () => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), options ?? new CallOptions(CancellationToken: TestToken)));
}
