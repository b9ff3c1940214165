using BarBroker.Grpc.Reflection.V1;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc.BuiltIn;

/// <summary>grpc.reflection.v1.ServerReflection: what is served here, for tools that have no .proto files.</summary>
internal sealed class ReflectionService(DescriptorIndex index) : IGrpcService
{
    public ServiceDescriptor Descriptor => Grpc.Reflection.V1.ReflectionReflection.Descriptor.Services[0];

    public void Bind(IServiceBinder binder) =>
        binder.DuplexStreaming<ServerReflectionRequest, ServerReflectionResponse>("ServerReflectionInfo", AnswerAsync);

    private async Task AnswerAsync(
        IAsyncEnumerable<ServerReflectionRequest> requests, IServerStreamWriter<ServerReflectionResponse> responses, ServerCallContext context)
    {
        await foreach (ServerReflectionRequest request in requests)
        {
            await responses.WriteAsync(index.Answer(request), context.CancellationToken);
        }
    }
}
