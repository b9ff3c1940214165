using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>The frames with which the server ends streams and connections.</summary>
public sealed class StreamEndTests
{
    private const uint Stream = 1;

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(TestService.ClientStreamPath)]
    [InlineData(TestService.DuplexPath)]
    [InlineData("/no.such.Service/Method")]
    public async Task A_call_that_ends_before_its_requests_do_is_reset_with_NO_ERROR(string path)
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnClientStream = static (_, _) => Task.FromResult(new ErrorResponse());
        host.Service.OnDuplex = static (_, _, _) => Task.CompletedTask;
        using FrameClient client = new(host.SocketPath);

        client.AddHeaders(Stream, path);
        client.Flush();

        // The status first: a reset in its place would hide it.
        Frame frame;
        do
        {
            frame = (await client.ReadAsync())!;
            Assert.NotEqual(FrameType.ResetStream, frame.Type);
        }
        while (!frame.EndsStream);

        Frame reset = await client.ReadAsync(FrameType.ResetStream);
        Assert.Equal((Stream, FrameClient.NoError), (reset.Stream, reset.ErrorCode));
    }

    [Fact]
    public async Task A_call_whose_requests_have_ended_is_not_reset()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);

        client.AddHeaders(Stream, TestService.DuplexPath);
        client.AddData(Stream, RawClient.Frame(0, 0), end: true);
        client.Flush();
        while (!(await client.ReadAsync())!.EndsStream)
        {
        }

        // Another call, whose answer comes after whatever the server had to say of the first.
        client.AddHeaders(Stream + 2, TestService.UnaryPath);
        client.AddData(Stream + 2, RawClient.Frame(0, 0), end: true);
        client.Flush();
        Frame frame;
        do
        {
            frame = (await client.ReadAsync())!;
            Assert.NotEqual(FrameType.ResetStream, frame.Type);
        }
        while (!frame.EndsStream);
    }

    [Fact]
    public async Task A_response_comes_while_the_requests_go_on()
    {
        await using TestHost host = await TestHost.StartAsync();
        using FrameClient client = new(host.SocketPath);
        client.AddHeaders(Stream, TestService.DuplexPath);
        for (byte i = 1; i <= 3; i++)
        {
            client.AddData(Stream, RawClient.Frame(0, 2, 8, i), end: false);
            client.Flush();

            Assert.Equal([0, 0, 0, 0, 2, 8, i], (await client.ReadAsync(FrameType.Data)).Payload);
        }

        client.AddData(Stream, [], end: true);
        client.Flush();
        Assert.True((await client.ReadAsync(FrameType.Headers)).EndsStream);
    }

    [Fact]
    public async Task A_server_that_stops_says_GOAWAY_and_finishes_the_calls_under_way()
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
        using FrameClient client = new(host.SocketPath);
        client.AddHeaders(Stream, TestService.UnaryPath);
        client.AddData(Stream, RawClient.Frame(0, 0), end: true);
        client.Flush();
        await started.Task.WaitAsync(TestToken);

        Task stopping = host.Server.StopAsync(TestToken);

        // The last stream, then the error code: nothing is wrong.
        Frame goAway = await client.ReadAsync(FrameType.GoAway);
        Assert.Equal(0U, goAway.Stream);
        Assert.Equal([0, 0, 0, 0], goAway.Payload[4..8]);
        Assert.False(stopping.IsCompleted);
        release.SetResult();
        Frame trailers;
        do
        {
            trailers = await client.ReadAsync(FrameType.Headers);
        }
        while (!trailers.EndsStream);

        Assert.Equal(Stream, trailers.Stream);
        // A client that is told to go away leaves once its calls are over. One that stays is cut off at the bound.
        client.Dispose();
        await stopping;
    }

    [Fact]
    public async Task A_stream_of_requests_that_is_under_way_when_the_server_stops_finishes()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource started = new();
        TaskCompletionSource release = new();
        host.Service.OnClientStream = async (requests, context) =>
        {
            int sum = 0;
            await foreach (ErrorResponse request in requests)
            {
                started.TrySetResult();
                sum += request.ErrorCode;
            }

            Assert.False(context.CancellationToken.IsCancellationRequested);
            return new ErrorResponse { ErrorCode = sum };
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        Task<ErrorResponse> call = channel.ClientStreamingAsync<ErrorResponse, ErrorResponse>(
            TestService.ClientStreamPath, TwoAsync(), new CallOptions(CancellationToken: TestToken));
        await started.Task.WaitAsync(TestToken);

        Task stopping = host.Server.StopAsync(TestToken);
        release.SetResult();

        Assert.Equal(1 + 2, (await call).ErrorCode);
        await stopping;

        async IAsyncEnumerable<ErrorResponse> TwoAsync()
        {
            yield return new ErrorResponse { ErrorCode = 1 };
            await release.Task;
            yield return new ErrorResponse { ErrorCode = 2 };
        }
    }

    [Fact]
    public async Task A_stream_of_requests_that_does_not_end_is_aborted_at_the_stops_deadline()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = channel.Duplex<ErrorResponse, ErrorResponse>(
            TestService.ClientStreamPath, new CallOptions(CancellationToken: TestToken));
        Assert.True(await call.WriteAsync(new ErrorResponse()));
        using CancellationTokenSource deadline = new();

        Task stopping = host.Server.StopAsync(deadline.Token);
        await deadline.CancelAsync();

        await stopping;
        Assert.Equal(StatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(call.ReadAsync)).StatusCode);
    }
}
