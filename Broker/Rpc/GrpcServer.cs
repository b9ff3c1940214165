using Microsoft.Extensions.Logging;

namespace BarBroker.Rpc;

/// <summary>gRPC over Unix sockets: Kestrel's HTTP/2 on a transport that can send descriptors.</summary>
public sealed class GrpcServer : IAsyncDisposable
{
    /// <summary>Checks the options and binds every method; nothing is opened yet.</summary>
    /// <exception cref="ArgumentException">An endpoint or a service can't be right; the message says why.</exception>
    public GrpcServer(GrpcServerOptions options, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        ArgumentNullException.ThrowIfNull(timeProvider);
    }

    /// <summary>What grpc.health.v1.Health answers.</summary>
    public HealthStatus Health { get; } = new();

    /// <summary>Makes the sockets and serves them.</summary>
    /// <exception cref="IOException">A socket can't be made; the message says which, why, and what to do.</exception>
    public Task StartAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    /// <summary>
    /// Stops accepting, ends streaming calls with UNAVAILABLE, lets unary calls finish until <paramref name="cancellationToken"/>
    /// is cancelled, then aborts what is left.
    /// </summary>
    public Task StopAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    /// <summary>Stops at once.</summary>
    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
