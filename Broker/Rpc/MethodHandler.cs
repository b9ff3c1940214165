using Google.Protobuf;

namespace BarBroker.Rpc;

/// <summary>Runs one kind of call: reads what there is to read, calls the service, writes what it returns.</summary>
internal abstract class MethodHandler
{
    /// <summary>
    /// The answer may go on for as long as it likes, so a server that stops must end it. A call with one answer is let finish: how
    /// many requests it takes is for its caller to end.
    /// </summary>
    internal abstract bool EndsAtStop { get; }

    /// <summary>Runs the call to its end, or throws what ended it.</summary>
    internal abstract Task InvokeAsync(ServerCall call);
}

internal sealed class UnaryHandler<TRequest, TResponse>(UnaryServerMethod<TRequest, TResponse> method) : MethodHandler
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    private static readonly MessageParser<TRequest> Parser = new(static () => new TRequest());

    internal override bool EndsAtStop => false;

    internal override async Task InvokeAsync(ServerCall call)
    {
        TRequest request = await call.ReadSingleAsync(Parser);
        await call.WriteLastAsync(await method(request, call));
    }
}

internal sealed class ClientStreamingHandler<TRequest, TResponse>(ClientStreamingServerMethod<TRequest, TResponse> method) : MethodHandler
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    private static readonly MessageParser<TRequest> Parser = new(static () => new TRequest());

    internal override bool EndsAtStop => false;

    internal override async Task InvokeAsync(ServerCall call) =>
        await call.WriteLastAsync(await method(call.ReadAllAsync(Parser, CancellationToken.None), call));
}

internal sealed class ServerStreamingHandler<TRequest, TResponse>(ServerStreamingServerMethod<TRequest, TResponse> method) : MethodHandler
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    private static readonly MessageParser<TRequest> Parser = new(static () => new TRequest());

    internal override bool EndsAtStop => true;

    internal override async Task InvokeAsync(ServerCall call)
    {
        TRequest request = await call.ReadSingleAsync(Parser);
        await method(request, new ServerStreamWriter<TResponse>(call), call);
    }
}

internal sealed class DuplexStreamingHandler<TRequest, TResponse>(DuplexStreamingServerMethod<TRequest, TResponse> method) : MethodHandler
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    private static readonly MessageParser<TRequest> Parser = new(static () => new TRequest());

    internal override bool EndsAtStop => true;

    internal override Task InvokeAsync(ServerCall call) =>
        method(call.ReadAllAsync(Parser, CancellationToken.None), new ServerStreamWriter<TResponse>(call), call);
}

internal sealed class ServerStreamWriter<T>(ServerCall call) : IServerStreamWriter<T>
    where T : class, IMessage<T>
{
    public Task WriteAsync(T message, CancellationToken cancellationToken) => call.WriteAsync(message, cancellationToken);
}
