using System.Net;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>Kestrel's transport for <see cref="UnixSocketEndPoint"/>s: like its own, but it knows its peers and can send descriptors.</summary>
internal sealed class UnixSocketTransport(TransportOptions options, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly TransportLog _log = new(loggerFactory.CreateLogger<UnixSocketTransport>());
    private ulong _lastConnection;

    public bool CanBind(EndPoint endpoint) => endpoint is UnixSocketEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        UnixSocketEndPoint unix = endpoint as UnixSocketEndPoint
            ?? throw new NotSupportedException($"This transport listens on Unix sockets only, not on {endpoint}.");
        return ValueTask.FromResult<IConnectionListener>(
            new UnixSocketListener(unix, BoundSocket.Create(unix), options, () => Interlocked.Increment(ref _lastConnection), _log, timeProvider));
    }
}
