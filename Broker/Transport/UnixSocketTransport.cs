using System.Net;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>Kestrel's transport for <see cref="UnixSocketEndPoint"/>s: like its own, but it knows its peers and can send descriptors.</summary>
internal sealed class UnixSocketTransport(TransportOptions options, TransportLog log, TimeProvider timeProvider)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => endpoint is UnixSocketEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        UnixSocketEndPoint unix = endpoint as UnixSocketEndPoint
            ?? throw new NotSupportedException($"This transport listens on Unix sockets only, not on {endpoint}.");

        // Made now, where failing stops the start: made by the first connection, with the table of descriptors full, it would fail for good.
        _ = DescriptorWatcher.Shared;
        _ = DescriptorWatcher.Reading;
        return ValueTask.FromResult<IConnectionListener>(
            UnixSocketListener.Start(unix, BoundSocket.Create(unix), options, log, timeProvider));
    }
}
