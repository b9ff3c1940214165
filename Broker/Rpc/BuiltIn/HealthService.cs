using BarBroker.Grpc;
using BarBroker.Grpc.Health.V1;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Rpc.BuiltIn;

/// <summary>grpc.health.v1.Health, by gRPC's health checking protocol.</summary>
internal sealed class HealthService(HealthStatus health) : IGrpcService
{
    public ServiceDescriptor Descriptor => HealthReflection.Descriptor.Services[0];

    public void Bind(IServiceBinder binder)
    {
        binder.Unary<HealthCheckRequest, HealthCheckResponse>("Check", CheckAsync);
        binder.ServerStreaming<HealthCheckRequest, HealthCheckResponse>("Watch", WatchAsync);
    }

    private Task<HealthCheckResponse> CheckAsync(HealthCheckRequest request, ServerCallContext context) =>
        health.Get(request.Service) is { } status
            ? Task.FromResult(new HealthCheckResponse { Status = status })
            : throw new RpcException(new Status(StatusCode.NotFound, $"There is no service {PeerText.Show(request.Service)}."));

    private async Task WatchAsync(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        ServingStatus? last = null;
        await foreach (ServingStatus status in health.WatchAsync(request.Service, context.CancellationToken))
        {
            if (status != last)
            {
                last = status;
                await responses.WriteAsync(new HealthCheckResponse { Status = status }, context.CancellationToken);
            }
        }
    }
}
