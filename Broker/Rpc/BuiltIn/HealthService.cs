using System.Collections.Frozen;
using BarBroker.Grpc;
using BarBroker.Grpc.Health.V1;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Rpc.BuiltIn;

/// <summary>grpc.health.v1.Health, by gRPC's health checking protocol.</summary>
/// <param name="health">Of all that the server has.</param>
/// <param name="elsewhere">Services that other endpoints have and this one does not: here they are unknown.</param>
internal sealed class HealthService(HealthStatus health, FrozenSet<string> elsewhere) : IGrpcService
{
    /// <summary>
    /// Characters. A service that nobody has yet may be watched, so that what a peer sends is kept for as long as it likes: names of messages
    /// and devices are far below this.
    /// </summary>
    internal const int LongestName = 256;

    public ServiceDescriptor Descriptor => HealthReflection.Descriptor.Services[0];

    public void Bind(IServiceBinder binder)
    {
        binder.Unary<HealthCheckRequest, HealthCheckResponse>("Check", CheckAsync);
        binder.ServerStreaming<HealthCheckRequest, HealthCheckResponse>("Watch", WatchAsync);
    }

    private Task<HealthCheckResponse> CheckAsync(HealthCheckRequest request, ServerCallContext context) =>
        !elsewhere.Contains(request.Service) && health.Get(request.Service) is { } status
            ? Task.FromResult(new HealthCheckResponse { Status = status })
            : throw new RpcException(new Status(StatusCode.NotFound, $"There is no service {PeerText.Show(request.Service)}."));

    private async Task WatchAsync(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        if (request.Service.Length > LongestName)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"The name of a service has at most {LongestName} characters; this one has {request.Service.Length}."));
        }

        if (elsewhere.Contains(request.Service))
        {
            await responses.WriteAsync(new HealthCheckResponse { Status = ServingStatus.ServiceUnknown }, context.CancellationToken);
            await Task.Delay(Timeout.InfiniteTimeSpan, context.CancellationToken);
        }

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
