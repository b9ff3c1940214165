using System.Collections.Frozen;
using BarBroker.Grpc;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc;

/// <summary>The methods that one endpoint serves, by path.</summary>
internal sealed class MethodTable
{
    private readonly FrozenDictionary<string, MethodHandler> _methods;
    private readonly FrozenSet<string> _services;

    private MethodTable(Dictionary<string, MethodHandler> methods, HashSet<string> services)
    {
        _methods = methods.ToFrozenDictionary(StringComparer.Ordinal);
        _services = services.ToFrozenSet(StringComparer.Ordinal);
    }

    /// <summary>Binds every method of every service.</summary>
    /// <exception cref="ArgumentException">A service is there twice, or does not bind exactly its methods.</exception>
    internal static MethodTable Create(IEnumerable<IGrpcService> services)
    {
        Dictionary<string, MethodHandler> methods = new(StringComparer.Ordinal);
        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (IGrpcService service in services)
        {
            if (!names.Add(service.Descriptor.FullName))
            {
                throw new ArgumentException($"Service {service.Descriptor.FullName} is there twice.", nameof(services));
            }

            Binder binder = new(service.Descriptor, methods);
            service.Bind(binder);
            binder.CheckComplete();
        }

        return new MethodTable(methods, names);
    }

    /// <summary>The handler of <c>/package.Service/Method</c>, or what to tell the caller.</summary>
    internal MethodHandler? Find(string path, out Status error)
    {
        error = Status.OK;
        if (_methods.TryGetValue(path, out MethodHandler? handler))
        {
            return handler;
        }

        int slash = path.LastIndexOf('/');
        string service = slash > 1 ? path[1..slash] : path;
        error = new Status(StatusCode.Unimplemented, _services.Contains(service)
            ? $"Service {service} has no method {PeerText.Show(path[(slash + 1)..])}."
            : $"There is no service {PeerText.Show(service)} on this socket.");
        return null;
    }

    private sealed class Binder(ServiceDescriptor service, Dictionary<string, MethodHandler> methods) : IServiceBinder
    {
        public void Unary<TRequest, TResponse>(string method, UnaryServerMethod<TRequest, TResponse> handler)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse> =>
            Add<TRequest>(method, clientStreams: false, serverStreams: false, new UnaryHandler<TRequest, TResponse>(handler));

        public void ClientStreaming<TRequest, TResponse>(string method, ClientStreamingServerMethod<TRequest, TResponse> handler)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse> =>
            Add<TRequest>(method, clientStreams: true, serverStreams: false, new ClientStreamingHandler<TRequest, TResponse>(handler));

        public void ServerStreaming<TRequest, TResponse>(string method, ServerStreamingServerMethod<TRequest, TResponse> handler)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse> =>
            Add<TRequest>(method, clientStreams: false, serverStreams: true, new ServerStreamingHandler<TRequest, TResponse>(handler));

        public void DuplexStreaming<TRequest, TResponse>(string method, DuplexStreamingServerMethod<TRequest, TResponse> handler)
            where TRequest : class, IMessage<TRequest>, new()
            where TResponse : class, IMessage<TResponse> =>
            Add<TRequest>(method, clientStreams: true, serverStreams: true, new DuplexStreamingHandler<TRequest, TResponse>(handler));

        internal void CheckComplete()
        {
            foreach (MethodDescriptor method in service.Methods)
            {
                if (!methods.ContainsKey(PathOf(method)))
                {
                    throw new ArgumentException($"Service {service.FullName} does not bind {method.Name}.");
                }
            }
        }

        private static string PathOf(MethodDescriptor method) => $"/{method.Service.FullName}/{method.Name}";

        private void Add<TRequest>(string name, bool clientStreams, bool serverStreams, MethodHandler handler)
            where TRequest : IMessage<TRequest>, new()
        {
            MethodDescriptor method = service.FindMethodByName(name)
                ?? throw new ArgumentException($"Service {service.FullName} binds {name}, which its .proto does not have.");
            if (method.IsClientStreaming != clientStreams || method.IsServerStreaming != serverStreams)
            {
                throw new ArgumentException($"Service {service.FullName} binds {name} with another kind of streaming than its .proto says.");
            }

            if (new TRequest().Descriptor.FullName != method.InputType.FullName)
            {
                throw new ArgumentException($"Service {service.FullName} binds {name} for {typeof(TRequest).Name}, but it takes {method.InputType.FullName}.");
            }

            if (!methods.TryAdd(PathOf(method), handler))
            {
                throw new ArgumentException($"Service {service.FullName} binds {name} twice.");
            }
        }
    }
}
