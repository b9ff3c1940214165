using BarBroker.Grpc;
using BarBroker.Grpc.Testing;
using BarBroker.Rpc;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Interop;

/// <summary><c>grpc.testing.TestService</c>, as gRPC's public interop test descriptions have it.</summary>
internal sealed class TestService : IGrpcService
{
    internal const string InitialKey = "x-grpc-test-echo-initial";
    internal const string TrailingKey = "x-grpc-test-echo-trailing-bin";

    /// <summary>More would not fit a message at gRPC's default limit.</summary>
    private const int MaxPayload = 4 * 1024 * 1024 - 64;

    public ServiceDescriptor Descriptor { get; } = CreateDescriptor();

    public void Bind(IServiceBinder binder)
    {
        binder.Unary<Empty, Empty>("EmptyCall", static (request, _) => Task.FromResult(request));
        binder.Unary<SimpleRequest, SimpleResponse>("UnaryCall", UnaryCallAsync);
        binder.ServerStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>("StreamingOutputCall", AnswerAsync);
        binder.ClientStreaming<StreamingInputCallRequest, StreamingInputCallResponse>("StreamingInputCall", AddUpAsync);
        binder.DuplexStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>("FullDuplexCall", AnswerEachAsync);
    }

    /// <summary>Without UnimplementedCall: that no handler is there is for the server to find out.</summary>
    private static ServiceDescriptor CreateDescriptor()
    {
        FileDescriptor original = TestReflection.Descriptor;
        FileDescriptorProto file = original.ToProto();
        ServiceDescriptorProto service = file.Service.Single(service => service.Name == "TestService");
        service.Method.Remove(service.Method.Single(method => method.Name == "UnimplementedCall"));
        file.Service.Clear();
        file.Service.Add(service);
        return FileDescriptor.BuildFromByteStrings([.. original.Dependencies.Select(file => file.SerializedData), file.ToByteString()])[^1].Services[0];
    }

    private static async Task<SimpleResponse> UnaryCallAsync(SimpleRequest request, ServerCallContext context)
    {
        await EchoMetadataAsync(context);
        EchoStatus(request.ResponseStatus, context);
        return new SimpleResponse { Payload = CreatePayload(request.ResponseType, request.ResponseSize) };
    }

    private static async Task AnswerAsync(
        StreamingOutputCallRequest request, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        await EchoMetadataAsync(context);
        await AnswerOneAsync(request, responses, context);
    }

    private static async Task AnswerEachAsync(
        IAsyncEnumerable<StreamingOutputCallRequest> requests, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        await EchoMetadataAsync(context);
        await foreach (StreamingOutputCallRequest request in requests)
        {
            await AnswerOneAsync(request, responses, context);
        }
    }

    private static async Task AnswerOneAsync(
        StreamingOutputCallRequest request, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        EchoStatus(request.ResponseStatus, context);
        foreach (ResponseParameters answer in request.ResponseParameters)
        {
            if (answer.IntervalUs > 0)
            {
                await Task.Delay(TimeSpan.FromMicroseconds(answer.IntervalUs), context.CancellationToken);
            }

            await responses.WriteAsync(
                new StreamingOutputCallResponse { Payload = CreatePayload(request.ResponseType, answer.Size) }, context.CancellationToken);
        }
    }

    private static async Task<StreamingInputCallResponse> AddUpAsync(IAsyncEnumerable<StreamingInputCallRequest> requests, ServerCallContext context)
    {
        await EchoMetadataAsync(context);
        int sum = 0;
        await foreach (StreamingInputCallRequest request in requests)
        {
            sum += request.Payload?.Body.Length ?? 0;
        }

        return new StreamingInputCallResponse { AggregatedPayloadSize = sum };
    }

    private static async Task EchoMetadataAsync(ServerCallContext context)
    {
        if (context.RequestHeaders.GetValueBytes(TrailingKey) is { } bytes)
        {
            context.ResponseTrailers.Add(TrailingKey, bytes);
        }

        if (context.RequestHeaders.GetValue(InitialKey) is { } text)
        {
            await context.WriteResponseHeadersAsync(new Metadata { { InitialKey, text } });
        }
    }

    private static void EchoStatus(EchoStatus? status, ServerCallContext context)
    {
        if (status is { Code: not 0 })
        {
            throw new RpcException(new Status((StatusCode)status.Code, status.Message), context.ResponseTrailers);
        }
    }

    private static Payload CreatePayload(PayloadType type, int size) => size is >= 0 and <= MaxPayload
        ? new Payload { Type = type, Body = UnsafeByteOperations.UnsafeWrap(new byte[size]) }
        : throw new RpcException(new Status(StatusCode.InvalidArgument, $"A payload can't have {size} bytes: only 0 to {MaxPayload}."));
}
