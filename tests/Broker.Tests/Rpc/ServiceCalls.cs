using System.Threading.Channels;
using BarBroker.Grpc;
using BarBroker.Rpc;
using BarBroker.Transport;
using Xunit;

namespace BarBroker.Tests.Rpc;

/// <summary>Calls the handlers of a service without a wire in between.</summary>
internal sealed class ServiceCalls : IServiceBinder
{
    private readonly Dictionary<string, Delegate> _handlers = [];

    public ServiceCalls(IGrpcService service)
    {
        service.Bind(this);
        Assert.Equal(service.Descriptor.Methods.Select(method => method.Name).Order(), _handlers.Keys.Order());
    }

    public Task<TResponse> CallAsync<TRequest, TResponse>(string method, TRequest request, IPeerConnection connection)
        => ((UnaryServerMethod<TRequest, TResponse>)_handlers[method])(request, new Context(method, connection, TestContext.Current.CancellationToken));

    public ServerStream<TResponse> Stream<TRequest, TResponse>(string method, TRequest request, IPeerConnection connection, CancellationToken cancellationToken)
    {
        ServerStream<TResponse> stream = new();
        Context context = new(method, connection, cancellationToken);
        stream.Completion = ((ServerStreamingServerMethod<TRequest, TResponse>)_handlers[method])(request, stream, context);
        stream.HeadersSent = context.HeadersSent;
        return stream;
    }

    void IServiceBinder.Unary<TRequest, TResponse>(string method, UnaryServerMethod<TRequest, TResponse> handler) => _handlers.Add(method, handler);

    void IServiceBinder.ServerStreaming<TRequest, TResponse>(string method, ServerStreamingServerMethod<TRequest, TResponse> handler) => _handlers.Add(method, handler);

    void IServiceBinder.ClientStreaming<TRequest, TResponse>(string method, ClientStreamingServerMethod<TRequest, TResponse> handler) => throw new NotSupportedException();

    void IServiceBinder.DuplexStreaming<TRequest, TResponse>(string method, DuplexStreamingServerMethod<TRequest, TResponse> handler) => throw new NotSupportedException();

    internal sealed class ServerStream<T> : IServerStreamWriter<T>
    {
        private readonly Channel<T> _messages = Channel.CreateUnbounded<T>();

        public Task Completion { get; set; } = Task.CompletedTask;

        public bool HeadersSent { get; set; }

        public Task WriteAsync(T message, CancellationToken cancellationToken)
        {
            _messages.Writer.TryWrite(message);
            return Task.CompletedTask;
        }

        public ValueTask<T> NextAsync() => _messages.Reader.ReadAsync(TestContext.Current.CancellationToken);
    }

    private sealed class Context(string method, IPeerConnection connection, CancellationToken cancellationToken) : ServerCallContext
    {
        public bool HeadersSent { get; private set; }

        public override string Method => method;

        public override IPeerConnection Connection => connection;

        public override DateTimeOffset Deadline => DateTimeOffset.MaxValue;

        public override CancellationToken CancellationToken => cancellationToken;

        public override Metadata RequestHeaders { get; } = [];

        public override Metadata ResponseTrailers { get; } = [];

        public override Task WriteResponseHeadersAsync(Metadata responseHeaders)
        {
            HeadersSent = true;
            return Task.CompletedTask;
        }
    }
}
