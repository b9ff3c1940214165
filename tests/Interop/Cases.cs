using System.Runtime.CompilerServices;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Testing;
using Google.Protobuf;

namespace BarBroker.Interop;

/// <summary>The cases of gRPC's public interop test descriptions, for our client.</summary>
internal sealed class Cases(UnixGrpcChannel channel)
{
    internal const string InitialValue = "test_initial_metadata_value";

    internal static readonly byte[] TrailingValue = [0xab, 0xab, 0xab];

    private const int LargeRequest = 271828;
    private const int LargeResponse = 314159;
    private const string PlainMessage = "test status message";
    private const string SpecialMessage = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n";
    private const string Service = "/grpc.testing.TestService/";

    private static readonly int[] RequestSizes = [27182, 8, 1828, 45904];
    private static readonly int[] ResponseSizes = [31415, 9, 2653, 58979];

    /// <summary>Reached only by failures.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    internal (string Name, Func<Task> RunAsync)[] All() =>
    [
        ("empty_unary", EmptyUnaryAsync),
        ("large_unary", LargeUnaryAsync),
        ("client_streaming", ClientStreamingAsync),
        ("server_streaming", ServerStreamingAsync),
        ("ping_pong", PingPongAsync),
        ("empty_stream", EmptyStreamAsync),
        ("custom_metadata", CustomMetadataAsync),
        ("status_code_and_message", StatusCodeAndMessageAsync),
        ("special_status_message", () => Expect.FailureAsync(() => CallForStatusAsync(SpecialMessage), StatusCode.Unknown, SpecialMessage)),
        ("unimplemented_method", () => UnimplementedAsync(Service)),
        ("unimplemented_service", () => UnimplementedAsync("/grpc.testing.UnimplementedService/")),
        ("cancel_after_begin", CancelAfterBeginAsync),
        ("cancel_after_first_response", CancelAfterFirstResponseAsync),
        ("timeout_on_sleeping_server", TimeoutOnSleepingServerAsync),
    ];

    private static CallOptions Options() => new(DateTimeOffset.UtcNow + Patience);

    private static Payload Zeros(int size) => new() { Body = UnsafeByteOperations.UnsafeWrap(new byte[size]) };

    private static SimpleRequest LargeUnaryRequest() => new() { ResponseSize = LargeResponse, Payload = Zeros(LargeRequest) };

    private static StreamingOutputCallRequest OutputRequest(int responseSize, int requestSize) =>
        new() { ResponseParameters = { new ResponseParameters { Size = responseSize } }, Payload = Zeros(requestSize) };

    private Task<SimpleResponse> UnaryAsync(SimpleRequest request, CallOptions options) =>
        channel.UnaryAsync<SimpleRequest, SimpleResponse>(Service + "UnaryCall", request, options);

    private DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> Duplex(CallOptions options) =>
        channel.Duplex<StreamingOutputCallRequest, StreamingOutputCallResponse>(Service + "FullDuplexCall", options);

    private Task<Empty> EmptyUnaryAsync() => channel.UnaryAsync<Empty, Empty>(Service + "EmptyCall", new Empty(), Options());

    private async Task LargeUnaryAsync() => Expect.Zeros(LargeResponse, (await UnaryAsync(LargeUnaryRequest(), Options())).Payload);

    private async Task ClientStreamingAsync()
    {
        StreamingInputCallResponse response = await channel.ClientStreamingAsync<StreamingInputCallRequest, StreamingInputCallResponse>(
            Service + "StreamingInputCall",
            RequestSizes.Select(size => new StreamingInputCallRequest { Payload = Zeros(size) }).ToAsyncEnumerable(),
            Options());
        Expect.Equal(RequestSizes.Sum(), response.AggregatedPayloadSize);
    }

    private async Task ServerStreamingAsync()
    {
        StreamingOutputCallRequest request = new();
        request.ResponseParameters.Add(ResponseSizes.Select(size => new ResponseParameters { Size = size }));
        int count = 0;
        await foreach (StreamingOutputCallResponse response in channel.ServerStreamingAsync<StreamingOutputCallRequest, StreamingOutputCallResponse>(
            Service + "StreamingOutputCall", request, Options()))
        {
            Expect.Zeros(ResponseSizes[count++], response.Payload);
        }

        Expect.Equal(ResponseSizes.Length, count);
    }

    private async Task PingPongAsync()
    {
        using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = Duplex(Options());
        foreach ((int requestSize, int responseSize) in RequestSizes.Zip(ResponseSizes))
        {
            Expect.Equal(true, await call.WriteAsync(OutputRequest(responseSize, requestSize)));
            Expect.Zeros(responseSize, (await call.ReadAsync())?.Payload);
        }

        await call.CompleteAsync();
        Expect.Equal(null, await call.ReadAsync());
    }

    private async Task EmptyStreamAsync()
    {
        using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = Duplex(Options());
        await call.CompleteAsync();
        Expect.Equal(null, await call.ReadAsync());
    }

    private async Task CustomMetadataAsync()
    {
        Metadata metadata = new() { { TestService.InitialKey, InitialValue }, { TestService.TrailingKey, TrailingValue } };
        ResponseMetadata unary = new();
        SimpleResponse answer = await UnaryAsync(LargeUnaryRequest(), Options() with { Headers = metadata, Received = unary });
        Expect.Zeros(LargeResponse, answer.Payload);
        Expect.Echo(unary.Headers, unary.Trailers);

        ResponseMetadata duplex = new();
        using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = Duplex(Options() with { Headers = metadata, Received = duplex });
        Expect.Equal(true, await call.WriteAsync(OutputRequest(LargeResponse, LargeRequest)));
        await call.CompleteAsync();
        Expect.Zeros(LargeResponse, (await call.ReadAsync())?.Payload);
        Expect.Equal(null, await call.ReadAsync());
        Expect.Echo(duplex.Headers, duplex.Trailers);
    }

    private Task<SimpleResponse> CallForStatusAsync(string message) =>
        UnaryAsync(new SimpleRequest { ResponseStatus = new EchoStatus { Code = (int)StatusCode.Unknown, Message = message } }, Options());

    private async Task StatusCodeAndMessageAsync()
    {
        await Expect.FailureAsync(() => CallForStatusAsync(PlainMessage), StatusCode.Unknown, PlainMessage);

        using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = Duplex(Options());
        await call.WriteAsync(new StreamingOutputCallRequest { ResponseStatus = new EchoStatus { Code = (int)StatusCode.Unknown, Message = PlainMessage } });
        await call.CompleteAsync();
        await Expect.FailureAsync(call.ReadAsync, StatusCode.Unknown, PlainMessage);
    }

    private Task UnimplementedAsync(string service) => Expect.FailureAsync(
        () => channel.UnaryAsync<Empty, Empty>(service + "UnimplementedCall", new Empty(), Options()), StatusCode.Unimplemented);

    private async Task CancelAfterBeginAsync()
    {
        using CancellationTokenSource giveUp = new();
        Task<StreamingInputCallResponse> call = channel.ClientStreamingAsync<StreamingInputCallRequest, StreamingInputCallResponse>(
            Service + "StreamingInputCall", NoneYetAsync(), Options() with { CancellationToken = giveUp.Token });
        await giveUp.CancelAsync();
        await Expect.FailureAsync(() => call, StatusCode.Cancelled);
    }

    /// <summary>Requests that do not come until nobody wants them any more.</summary>
    private static async IAsyncEnumerable<StreamingInputCallRequest> NoneYetAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        yield break;
    }

    private async Task CancelAfterFirstResponseAsync()
    {
        using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = Duplex(Options());
        Expect.Equal(true, await call.WriteAsync(OutputRequest(ResponseSizes[0], RequestSizes[0])));
        Expect.Zeros(ResponseSizes[0], (await call.ReadAsync())?.Payload);
        call.Cancel();
        await Expect.FailureAsync(call.ReadAsync, StatusCode.Cancelled);
    }

    private Task TimeoutOnSleepingServerAsync() => Expect.FailureAsync(
        async () =>
        {
            using DuplexCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call =
                Duplex(new CallOptions(DateTimeOffset.UtcNow + TimeSpan.FromMilliseconds(1)));
            await call.WriteAsync(new StreamingOutputCallRequest { Payload = Zeros(RequestSizes[0]) });
            await call.ReadAsync();
        },
        StatusCode.DeadlineExceeded);
}
