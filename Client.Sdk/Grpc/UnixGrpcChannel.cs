using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>One connection to a broker: gRPC calls, and the descriptors that come with their replies. It never reconnects.</summary>
internal sealed class UnixGrpcChannel : IAsyncDisposable
{
    /// <summary>Is cancelled once the connection is over, whoever ended it.</summary>
    public CancellationToken Closed => throw new NotSupportedException();

    /// <summary>What arrived on the socket.</summary>
    public DescriptorInbox Descriptors => throw new NotSupportedException();

    /// <summary>Connects, and makes sure that a gRPC server answers.</summary>
    /// <exception cref="RpcException">UNAVAILABLE: there is no such socket, nobody listens, or permission is missing; the message says which.</exception>
    public static Task<UnixGrpcChannel> ConnectAsync(string socketPath, CancellationToken cancellationToken) => throw new NotSupportedException();

    /// <summary>One request, one response.</summary>
    /// <param name="method">Full name: <c>/barbroker.v1.Broker/Acquire</c>.</param>
    /// <param name="request">The message.</param>
    /// <param name="options">Deadline, headers, cancellation.</param>
    /// <exception cref="RpcException">The call failed. Giving up is CANCELLED, a deadline DEADLINE_EXCEEDED, a lost connection UNAVAILABLE.</exception>
    public Task<TResponse> UnaryAsync<TRequest, TResponse>(string method, TRequest request, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new() => throw new NotSupportedException();

    /// <summary>One request, many responses. Ending the enumeration early cancels the call.</summary>
    /// <inheritdoc cref="UnaryAsync"/>
    public IAsyncEnumerable<TResponse> ServerStreamingAsync<TRequest, TResponse>(string method, TRequest request, CallOptions options)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>, new() => throw new NotSupportedException();

    /// <summary>Closes the connection; calls under way fail with UNAVAILABLE.</summary>
    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
