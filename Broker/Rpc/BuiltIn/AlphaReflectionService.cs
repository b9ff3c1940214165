using BarBroker.Grpc.Reflection.V1Alpha;
using Google.Protobuf;
using Newer = BarBroker.Grpc.Reflection.V1;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc.BuiltIn;

/// <summary>grpc.reflection.v1alpha.ServerReflection: the same answers under the name that older tools ask for.</summary>
internal sealed class AlphaReflectionService(DescriptorIndex index) : IGrpcService
{
    public ServiceDescriptor Descriptor => ServerReflectionRequest.Descriptor.File.Services[0];

    public void Bind(IServiceBinder binder) =>
        binder.DuplexStreaming<ServerReflectionRequest, ServerReflectionResponse>("ServerReflectionInfo", AnswerAsync);

    private async Task AnswerAsync(
        IAsyncEnumerable<ServerReflectionRequest> requests, IServerStreamWriter<ServerReflectionResponse> responses, ServerCallContext context)
    {
        await foreach (ServerReflectionRequest request in requests)
        {
            // The two versions are the same on the wire.
            Newer.ServerReflectionRequest translated = Newer.ServerReflectionRequest.Parser.ParseFrom(request.ToByteString());
            ServerReflectionResponse response = ServerReflectionResponse.Parser.ParseFrom(index.Answer(translated).ToByteString());
            await responses.WriteAsync(response, context.CancellationToken);
        }
    }
}
