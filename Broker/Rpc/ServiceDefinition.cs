using Google.Protobuf;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc;

/// <summary>Handles a call with one request and one response.</summary>
public delegate Task<TResponse> UnaryServerMethod<in TRequest, TResponse>(TRequest request, ServerCallContext context);

/// <summary>Handles a call with many requests and one response.</summary>
public delegate Task<TResponse> ClientStreamingServerMethod<in TRequest, TResponse>(IAsyncEnumerable<TRequest> requests, ServerCallContext context);

/// <summary>Handles a call with one request and many responses.</summary>
public delegate Task ServerStreamingServerMethod<in TRequest, out TResponse>(TRequest request, IServerStreamWriter<TResponse> responses, ServerCallContext context);

/// <summary>Handles a call with many requests and many responses.</summary>
public delegate Task DuplexStreamingServerMethod<in TRequest, out TResponse>(IAsyncEnumerable<TRequest> requests, IServerStreamWriter<TResponse> responses, ServerCallContext context);

/// <summary>Where a streaming handler writes its messages.</summary>
public interface IServerStreamWriter<in T>
{
    /// <summary>
    /// Completes when the message is handed to the transport and the caller has room for more. One write at a time. Cancelling a write that
    /// waits for the caller gives up the whole call.
    /// </summary>
    Task WriteAsync(T message, CancellationToken cancellationToken);
}

/// <summary>A service: what its .proto says, and a handler for each method.</summary>
public interface IGrpcService
{
    /// <summary>The service's descriptor, for its full name and for reflection.</summary>
    ServiceDescriptor Descriptor { get; }

    /// <summary>Names each method's handler. Every method of <see cref="Descriptor"/> must be bound, once.</summary>
    void Bind(IServiceBinder binder);
}

/// <summary>Takes the handlers of a service, by the method's name in the .proto.</summary>
public interface IServiceBinder
{
    /// <summary>Binds a unary method.</summary>
    void Unary<TRequest, TResponse>(string method, UnaryServerMethod<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>;

    /// <summary>Binds a client-streaming method.</summary>
    void ClientStreaming<TRequest, TResponse>(string method, ClientStreamingServerMethod<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>;

    /// <summary>Binds a server-streaming method.</summary>
    void ServerStreaming<TRequest, TResponse>(string method, ServerStreamingServerMethod<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>;

    /// <summary>Binds a bidirectional method.</summary>
    void DuplexStreaming<TRequest, TResponse>(string method, DuplexStreamingServerMethod<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>;
}
