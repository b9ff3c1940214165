using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>Servers, or what stands before them, that end a call without a status of gRPC's.</summary>
public sealed class StatusMappingTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("400", StatusCode.Internal)]
    [InlineData("401", StatusCode.Unauthenticated)]
    [InlineData("403", StatusCode.PermissionDenied)]
    [InlineData("404", StatusCode.Unimplemented)]
    [InlineData("418", StatusCode.Unknown)]
    [InlineData("429", StatusCode.Unavailable)]
    [InlineData("431", StatusCode.Internal)]
    [InlineData("500", StatusCode.Unknown)]
    [InlineData("502", StatusCode.Unavailable)]
    [InlineData("503", StatusCode.Unavailable)]
    [InlineData("504", StatusCode.Unavailable)]
    public async Task An_HTTP_status_has_a_meaning(string http, StatusCode expected)
    {
        RpcException failure = await FailAsync((frames, stream) => frames.AddHeaders(stream, Frame.EndStream, (":status", http)));

        Assert.Equal(expected, failure.StatusCode);
        Assert.Contains(http, failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_status_of_gRPC_comes_before_that_of_HTTP()
    {
        RpcException failure = await FailAsync(
            static (frames, stream) => frames.AddHeaders(stream, Frame.EndStream, (":status", "404"), (GrpcProtocol.StatusHeader, "8")));

        Assert.Equal(StatusCode.ResourceExhausted, failure.StatusCode);
    }

    [Theory]
    [InlineData(0U, StatusCode.Internal)]
    [InlineData(1U, StatusCode.Internal)]
    [InlineData(2U, StatusCode.Internal)]
    [InlineData(3U, StatusCode.Internal)]
    [InlineData(6U, StatusCode.Internal)]
    [InlineData(7U, StatusCode.Unavailable)]
    [InlineData(8U, StatusCode.Cancelled)]
    [InlineData(11U, StatusCode.ResourceExhausted)]
    [InlineData(12U, StatusCode.PermissionDenied)]
    public async Task A_reset_has_a_meaning(uint code, StatusCode expected)
    {
        RpcException failure = await FailAsync((frames, stream) => frames.AddReset(stream, code));

        Assert.Equal(expected, failure.StatusCode);
        Assert.Contains($"HTTP/2 error {code}", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reset_in_the_middle_of_a_response_has_the_same()
    {
        RpcException failure = await FailAsync(static (frames, stream) =>
        {
            frames.AddHeaders(stream, 0, (":status", "200"), (GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType));
            frames.AddReset(stream, 11);
        });

        Assert.Equal(StatusCode.ResourceExhausted, failure.StatusCode);
    }

    [Theory]
    [InlineData(2U, StatusCode.Internal)]
    [InlineData(8U, StatusCode.Cancelled)]
    [InlineData(11U, StatusCode.ResourceExhausted)]
    [InlineData(12U, StatusCode.PermissionDenied)]
    public async Task A_reset_while_a_request_is_being_sent_has_the_same(uint code, StatusCode expected)
    {
        int resets = 0;
        await using FrameServer server = new(
            static (_, _) => { },
            (frames, stream) =>
            {
                if (resets++ == 0)
                {
                    frames.AddReset(stream, code);
                }
            });
        await using UnixGrpcChannel channel = await server.ConnectAsync();

        // More than HTTP/2's window, which this server never opens again.
        ErrorResponse request = new() { ErrorMessage = new string('x', 200_000) };
        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, request, new CallOptions(CancellationToken: TestToken)));

        Assert.Equal(expected, failure.StatusCode);
        Assert.Contains($"HTTP/2 error {code}", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Giving_up_while_a_request_is_being_sent_is_CANCELLED()
    {
        TaskCompletionSource begun = new();
        await using FrameServer server = new(static (_, _) => { }, (_, _) => begun.TrySetResult());
        await using UnixGrpcChannel channel = await server.ConnectAsync();
        using CancellationTokenSource giveUp = new();
        Task call = channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse { ErrorMessage = new string('x', 200_000) }, new CallOptions(CancellationToken: giveUp.Token));
        await begun.Task.WaitAsync(TestToken);

        await giveUp.CancelAsync();

        Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(() => call.WaitAsync(TestToken))).StatusCode);
    }

    [Fact]
    public async Task A_stream_of_requests_that_is_refused_is_UNAVAILABLE_and_not_sent_again_without_its_front()
    {
        // HTTP by itself tries again what was refused; this server would wait for ever for the first request of a second call.
        int refused = 0;
        await using FrameServer server = new(
            static (_, _) => { },
            (frames, stream) =>
            {
                if (refused++ == 0)
                {
                    frames.AddReset(stream, 7);
                }
            });
        await using UnixGrpcChannel channel = await server.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call =
            channel.Duplex<ErrorResponse, ErrorResponse>(TestService.DuplexPath, new CallOptions(CancellationToken: TestToken));

        Assert.True(await call.WriteAsync(new ErrorResponse()));
        RpcException failure = await Assert.ThrowsAsync<RpcException>(call.ReadAsync);

        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        Assert.Contains("HTTP/2 error 7", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_content_type_is_UNKNOWN()
    {
        RpcException failure = await FailAsync(
            static (frames, stream) => frames.AddHeaders(stream, Frame.EndStream, (":status", "200"), (GrpcProtocol.ContentTypeHeader, "text/html")));

        Assert.Equal(StatusCode.Unknown, failure.StatusCode);
        Assert.Contains("text/html", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_response_without_a_status_is_UNKNOWN()
    {
        RpcException failure = await FailAsync(static (frames, stream) => frames.AddHeaders(
            stream, Frame.EndStream, (":status", "200"), (GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType)));

        Assert.Equal(StatusCode.Unknown, failure.StatusCode);
        Assert.Contains("without a gRPC status", failure.Status.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("17")]
    [InlineData("-1")]
    [InlineData("00")]
    [InlineData("x")]
    public async Task A_status_that_is_none_is_UNKNOWN(string status)
    {
        RpcException failure = await FailAsync((frames, stream) => frames.AddHeaders(
            stream, Frame.EndStream, (":status", "200"), (GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType), (GrpcProtocol.StatusHeader, status)));

        Assert.Equal(StatusCode.Unknown, failure.StatusCode);
    }

    private static async Task<RpcException> FailAsync(Action<FrameSocket, uint> answer)
    {
        await using FrameServer server = new(answer);
        await using UnixGrpcChannel channel = await server.ConnectAsync();
        return await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
            TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken)));
    }
}
