using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>What a caller sees of the response beside its messages.</summary>
public sealed class ResponseMetadataTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Headers_and_trailers_of_a_call_that_succeeds_reach_the_caller()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static async (request, context) =>
        {
            await context.WriteResponseHeadersAsync(new Metadata { { "first", "1" }, { "raw-bin", [0, 255] } });
            context.ResponseTrailers.Add("last", "2");
            context.ResponseTrailers.Add("raw-bin", [7]);
            return request;
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        ResponseMetadata received = new();

        await channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, new ErrorResponse(), Options(received));

        Assert.Equal("1", received.Headers.GetValue("first"));
        Assert.Equal([0, 255], received.Headers.GetValueBytes("raw-bin"));
        Assert.Null(received.Headers.GetValue("last"));
        Assert.Equal("2", received.Trailers.GetValue("last"));
        Assert.Equal([7], received.Trailers.GetValueBytes("raw-bin"));
        Assert.Null(received.Trailers.GetValue("first"));
    }

    [Fact]
    public async Task Trailers_of_a_call_that_fails_are_those_of_its_exception()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static (_, _) => throw new RpcException(new Status(StatusCode.Aborted, "x"), new Metadata { { "why", "so" } });
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        ResponseMetadata received = new();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, new ErrorResponse(), Options(received)));

        Assert.Equal("so", failure.Trailers.GetValue("why"));
        Assert.Equal("so", received.Trailers.GetValue("why"));
        Assert.Empty(received.Headers);
    }

    [Fact]
    public async Task Trailers_of_the_handler_go_with_its_failure_and_those_of_the_exception_win()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static (_, context) =>
        {
            context.ResponseTrailers.Add("count", "3");
            context.ResponseTrailers.Add("raw-bin", [7]);
            context.ResponseTrailers.Add("why", "unknown");
            throw new RpcException(new Status(StatusCode.Aborted, "x"), new Metadata { { "why", "so" } });
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, new ErrorResponse(), Options(new ResponseMetadata())));

        Assert.Equal((StatusCode.Aborted, "x"), (failure.StatusCode, failure.Status.Detail));
        Assert.Equal("3", failure.Trailers.GetValue("count"));
        Assert.Equal([7], failure.Trailers.GetValueBytes("raw-bin"));
        Assert.Equal(["so"], failure.Trailers.Where(static entry => entry.Key == "why").Select(static entry => entry.Value));
    }

    [Fact]
    public async Task Trailers_of_the_handler_go_with_a_failure_that_has_none()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static (_, context) =>
        {
            context.ResponseTrailers.Add("count", "3");
            throw new RpcException(new Status(StatusCode.NotFound, "x"));
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, new ErrorResponse(), Options(new ResponseMetadata())));

        Assert.Equal(StatusCode.NotFound, failure.StatusCode);
        Assert.Equal("3", failure.Trailers.GetValue("count"));
    }

    [Fact]
    public async Task Headers_that_are_sent_at_once_are_there_before_the_first_message()
    {
        await using TestHost host = await TestHost.StartAsync();
        TaskCompletionSource release = new();
        host.Service.OnDuplex = async (_, responses, context) =>
        {
            await context.WriteResponseHeadersAsync(new Metadata { { "early", "yes" } });
            await release.Task;
            await responses.WriteAsync(new ErrorResponse(), context.CancellationToken);
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ErrorResponse, ErrorResponse> call = channel.Duplex<ErrorResponse, ErrorResponse>(TestService.DuplexPath, Options(new ResponseMetadata()));

        Metadata headers = await call.ReadHeadersAsync();

        Assert.Equal("yes", headers.GetValue("early"));
        release.SetResult();
        Assert.NotNull(await call.ReadAsync());
    }

    [Fact]
    public async Task A_stream_of_no_responses_succeeds_although_its_answer_is_a_status_alone()
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnServerStream = static (_, _, context) =>
        {
            context.ResponseTrailers.Add("count", "0");
            return Task.CompletedTask;
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        ResponseMetadata received = new();

        await foreach (ErrorResponse _ in channel.ServerStreamingAsync<ErrorResponse, ErrorResponse>(
            TestService.ServerStreamPath, new ErrorResponse(), Options(received)))
        {
            Assert.Fail("There is none.");
        }

        Assert.Equal("0", received.Trailers.GetValue("count"));
    }

    [Fact]
    public async Task An_OK_without_the_one_response_is_UNIMPLEMENTED()
    {
        await using FrameServer server = new(static (frames, stream) => FrameServer.AddStatus(frames, stream, StatusCode.OK));
        await using UnixGrpcChannel channel = await server.ConnectAsync();

        RpcException failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken)));

        Assert.Equal(StatusCode.Unimplemented, failure.StatusCode);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_response_of_the_callers_limit_is_taken_and_one_byte_more_is_RESOURCE_EXHAUSTED(int more)
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        ErrorResponse message = new() { ErrorMessage = new string('x', 1000) };
        CallOptions options = new(CancellationToken: TestToken) { MaxReceiveMessageSize = message.CalculateSize() - more };

        Task<ErrorResponse> call = channel.UnaryAsync<ErrorResponse, ErrorResponse>(TestService.UnaryPath, message, options);

        if (more == 0)
        {
            Assert.Equal(message, await call);
        }
        else
        {
            RpcException failure = await Assert.ThrowsAsync<RpcException>(() => call);
            Assert.Equal(StatusCode.ResourceExhausted, failure.StatusCode);
            Assert.Contains($"{message.CalculateSize()} bytes; at most {options.MaxReceiveMessageSize}", failure.Status.Detail, StringComparison.Ordinal);
        }
    }

    private static CallOptions Options(ResponseMetadata received) => new(CancellationToken: TestToken) { Received = received };
}
