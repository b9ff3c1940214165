using BarBroker.Grpc.Health.V1;

namespace BarBroker.Rpc;

/// <summary>Health by service: what grpc.health.v1.Health answers. Thread-safe.</summary>
public sealed class HealthStatus
{
    /// <summary>Sets one service's status, and tells its watchers.</summary>
    /// <param name="service">Full name such as <c>barbroker.v1.Broker</c>; empty for the server as a whole.</param>
    /// <param name="status">Serving or not.</param>
    public void Set(string service, HealthCheckResponse.Types.ServingStatus status) => throw new NotSupportedException();
}
