using System.Runtime.CompilerServices;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Calls with a stream of requests, from our client to our server.</summary>
public sealed class RequestStreamTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_request_of_a_stream_reaches_the_server_and_one_answer_comes_back()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        Assert.Equal(1 + 2 + 3, (await SumAsync(channel, Numbers(1, 2, 3))).ErrorCode);
    }

    [Fact]
    public async Task A_stream_of_no_requests_is_one()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        Assert.Equal(0, (await SumAsync(channel, Numbers())).ErrorCode);
    }

    [Fact]
    public async Task A_server_that_answers_early_stops_the_enumeration()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnClientStream = static async (requests, _) =>
        {
            await foreach (ErrorResponse request in requests)
            {
                return request;
            }

            return new ErrorResponse();
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        bool stopped = false;

        Assert.Equal(7, (await SumAsync(channel, Endless(TestToken))).ErrorCode);
        Assert.True(stopped);

        async IAsyncEnumerable<ErrorResponse> Endless([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            yield return new ErrorResponse { ErrorCode = 7 };
            try
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            finally
            {
                stopped = true;
            }
        }
    }

    [Fact]
    public async Task What_the_enumeration_throws_cancels_the_call_and_reaches_the_caller()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource<bool> completed = new();
        host.Service.OnClientStream = async (requests, context) =>
        {
            try
            {
                await foreach (ErrorResponse _ in requests)
                {
                }

                completed.SetResult(true);
            }
            finally
            {
                completed.TrySetResult(false);
            }

            return new ErrorResponse();
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        Assert.Equal("no more", (await Assert.ThrowsAsync<InvalidOperationException>(() => SumAsync(channel, Failing()))).Message);
        Assert.False(await completed.Task.WaitAsync(TestToken));

        static async IAsyncEnumerable<ErrorResponse> Failing()
        {
            yield return new ErrorResponse();
            await Task.Yield();
            throw new InvalidOperationException("no more");
        }
    }

    [Fact]
    public async Task A_failure_of_the_handler_reaches_a_caller_that_still_sends()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnClientStream = static (_, _) => throw new RpcException(new Status(StatusCode.FailedPrecondition, "not now"));
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => SumAsync(channel, Endless(TestToken)));

        Assert.Equal((StatusCode.FailedPrecondition, "not now"), (failure.StatusCode, failure.Status.Detail));

        static async IAsyncEnumerable<ErrorResponse> Endless([EnumeratorCancellation] CancellationToken cancellationToken = default)
        {
            yield return new ErrorResponse();
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
    }

    [Fact]
    public async Task Requests_and_responses_take_turns()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        for (int i = 1; i <= 50; i++)
        {
            Assert.True(await call.WriteAsync(new ErrorResponse { ErrorCode = i }));
            Assert.Equal(i, (await call.ReadAsync())!.ErrorCode);
        }

        await call.CompleteAsync();
        Assert.Null(await call.ReadAsync());
    }

    [Fact]
    public async Task Responses_go_on_after_the_last_request()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnDuplex = static async (requests, responses, context) =>
        {
            List<ErrorResponse> all = [];
            await foreach (ErrorResponse request in requests)
            {
                all.Add(request);
            }

            foreach (ErrorResponse response in all)
            {
                await responses.WriteAsync(response, context.CancellationToken);
            }
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        for (int i = 1; i <= 3; i++)
        {
            Assert.True(await call.WriteAsync(new ErrorResponse { ErrorCode = i }));
        }

        await call.CompleteAsync();
        List<int> numbers = [];
        await foreach (ErrorResponse response in call.ReadAllAsync(TestToken))
        {
            numbers.Add(response.ErrorCode);
        }

        Assert.Equal<int>([1, 2, 3], numbers);
    }

    [Fact]
    public async Task A_stream_of_nothing_in_either_direction_succeeds()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        await call.CompleteAsync();

        Assert.Null(await call.ReadAsync());
    }

    [Fact]
    public async Task A_call_begins_before_its_first_request_is_written()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnDuplex = static (_, responses, context) =>
            responses.WriteAsync(new ErrorResponse { ErrorMessage = "go ahead" }, context.CancellationToken);
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        Assert.Equal("go ahead", (await call.ReadAsync())!.ErrorMessage);
    }

    [Fact]
    public async Task A_writer_learns_that_the_server_has_ended_the_call()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnDuplex = static (_, _, _) => Task.CompletedTask;
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        Assert.Null(await call.ReadAsync());

        // The stream's reset follows its end at once, but is another frame.
        while (await call.WriteAsync(new ErrorResponse()))
        {
            TestToken.ThrowIfCancellationRequested();
        }
    }

    [Fact]
    public async Task Giving_up_fails_the_read_and_cancels_the_handler()
    {
        await using TestHost host = await TestHost.StartAsync();
        (Task started, Task cancelled) = HandleUntilCancelled(host);
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);
        Task<ErrorResponse?> read = call.ReadAsync();
        await started.WaitAsync(TestToken);

        call.Cancel();

        Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(() => read)).StatusCode);
        Assert.False(await call.WriteAsync(new ErrorResponse()));
        await cancelled.WaitAsync(TestToken);
    }

    [Fact]
    public async Task Disposing_a_call_that_nobody_read_cancels_it()
    {
        await using TestHost host = await TestHost.StartAsync();
        (Task started, Task cancelled) = HandleUntilCancelled(host);
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        using (Duplex(channel))
        {
            await started.WaitAsync(TestToken);
        }

        await cancelled.WaitAsync(TestToken);
    }

    [Fact]
    public async Task A_lost_connection_is_UNAVAILABLE_to_the_reader_and_false_to_the_writer()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);
        Assert.True(await call.WriteAsync(new ErrorResponse()));
        Assert.NotNull(await call.ReadAsync());

        await host.Server.StopAsync(new CancellationToken(canceled: true));

        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(call.ReadAsync)).StatusCode);
        while (await call.WriteAsync(new ErrorResponse()))
        {
            TestToken.ThrowIfCancellationRequested();
        }
    }

    [Fact]
    public async Task A_call_on_a_channel_that_is_over_is_UNAVAILABLE_and_takes_no_request()
    {
        await using TestHost host = await TestHost.StartAsync();
        UnixGrpcChannel channel = await host.ConnectAsync();
        await channel.DisposeAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        Assert.False(await call.WriteAsync(new ErrorResponse()));
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(call.ReadAsync)).StatusCode);
    }

    [Fact]
    public async Task Requests_come_one_at_a_time_and_none_after_the_last()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource release = new();
        host.Service.OnDuplex = async (_, _, _) => await release.Task;
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = Duplex(channel);

        Task<bool> held = call.WriteAsync(new ErrorResponse { ErrorMessage = new string('x', 300_000) });
        await Assert.ThrowsAsync<InvalidOperationException>(() => call.WriteAsync(new ErrorResponse()));
        call.Cancel();
        Assert.False(await held);
        await call.CompleteAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => call.WriteAsync(new ErrorResponse()));
        release.SetResult();
    }

    [Fact]
    public async Task A_server_that_does_not_read_stops_the_writer()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource release = new();
        host.Service.OnClientStream = async (requests, context) =>
        {
            await release.Task;
            int count = 0;
            await foreach (ErrorResponse _ in requests)
            {
                count++;
            }

            return new ErrorResponse { ErrorCode = count };
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        int asked = 0;

        Task<ErrorResponse> call = SumAsync(channel, Big());
        int before = -1;
        while (before != Volatile.Read(ref asked))
        {
            before = Volatile.Read(ref asked);
            await PassTimeAsync(channel);
        }

        // A window of 128 KiB, in messages of 16 KiB, and one that waits for room.
        Assert.InRange(before, 8, 10);
        release.SetResult();
        Assert.Equal(100, (await call).ErrorCode);

        async IAsyncEnumerable<ErrorResponse> Big()
        {
            for (int i = 0; i < 100; i++)
            {
                Interlocked.Increment(ref asked);
                yield return new ErrorResponse { ErrorMessage = new string('x', 16 * 1024) };
                await Task.Yield();
            }
        }
    }

    /// <summary>Has the duplex call wait for its cancellation.</summary>
    /// <returns>When it has begun, and when it was cancelled.</returns>
    private static (Task Started, Task Cancelled) HandleUntilCancelled(TestHost host)
    {
        TaskCompletionSource started = new();
        TaskCompletionSource cancelled = new();
        host.Service.OnDuplex = async (_, _, context) =>
        {
            await using (context.CancellationToken.Register(cancelled.SetResult))
            {
                started.SetResult();
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            }
        };
        return (started.Task, cancelled.Task);
    }

    /// <summary>What can happen on the connection has happened when so many calls have gone both ways.</summary>
    private static async Task PassTimeAsync(UnixGrpcChannel channel)
    {
        for (int i = 0; i < 50; i++)
        {
            await channel.UnaryAsync<ErrorResponse, ErrorResponse>(
                TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken));
        }
    }

    private static async IAsyncEnumerable<ErrorResponse> Numbers(params int[] numbers)
    {
        foreach (int number in numbers)
        {
            await Task.Yield();
            yield return new ErrorResponse { ErrorCode = number };
        }
    }

    private static Task<ErrorResponse> SumAsync(UnixGrpcChannel channel, IAsyncEnumerable<ErrorResponse> requests) =>
        channel.ClientStreamingAsync<ErrorResponse, ErrorResponse>(TestService.ClientStreamPath, requests, new CallOptions(CancellationToken: TestToken));

    private static DuplexCall<ErrorResponse, ErrorResponse> Duplex(UnixGrpcChannel channel) =>
        channel.Duplex<ErrorResponse, ErrorResponse>(TestService.DuplexPath, new CallOptions(CancellationToken: TestToken));
}
