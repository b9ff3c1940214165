using BarBroker.Grpc;
using BarBroker.Transport;

namespace BarBroker.Rpc;

/// <summary>One call, as its handler sees it.</summary>
public abstract class ServerCallContext
{
    /// <summary>Full name: <c>/package.Service/Method</c>.</summary>
    public abstract string Method { get; }

    /// <summary>The connection that the call came on.</summary>
    public abstract IPeerConnection Connection { get; }

    /// <summary>When the caller stops waiting; <see cref="DateTimeOffset.MaxValue"/> without a deadline.</summary>
    public abstract DateTimeOffset Deadline { get; }

    /// <summary>Is cancelled when the caller gave up, the deadline passed or the connection ended.</summary>
    public abstract CancellationToken CancellationToken { get; }

    /// <summary>Custom metadata that the caller sent.</summary>
    public abstract Metadata RequestHeaders { get; }

    /// <summary>Custom metadata to go with the status.</summary>
    public abstract Metadata ResponseTrailers { get; }

    /// <summary>Sends the response headers now rather than with the first message. At most once.</summary>
    public abstract Task WriteResponseHeadersAsync(Metadata responseHeaders);
}
