using System.Collections.Frozen;
using System.Collections.Immutable;
using BarBroker.Grpc.Health.V1;
using BarBroker.Rpc.BuiltIn;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace BarBroker.Rpc;

/// <summary>gRPC over Unix sockets: Kestrel's HTTP/2 on a transport that can send descriptors.</summary>
public sealed class GrpcServer : IAsyncDisposable
{
    private readonly ImmutableArray<ServedEndPoint> _endpoints;
    private readonly CancellationTokenSource _stopping = new();
    private readonly GrpcApplication _application;
    private readonly KestrelServer _kestrel;
    private readonly TicketBook _tickets;
    private readonly RpcLog _log;
    private readonly WireCounters _counters;
    private bool _stopped;

    /// <summary>Checks the options and binds every method; nothing is opened yet.</summary>
    /// <exception cref="ArgumentException">An endpoint or a service can't be right; the message says why.</exception>
    public GrpcServer(GrpcServerOptions options, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        ArgumentNullException.ThrowIfNull(timeProvider);
        if (options.Endpoints.IsDefaultOrEmpty)
        {
            throw new ArgumentException("A server needs at least one endpoint.", nameof(options));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxReceiveMessageSize, 0);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(options.PrefaceTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(options.RequestHeadersTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxDescriptorsUnderWay ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxDescriptorsUnderWayPerUser ?? 1, 1);

        ILogger logger = loggerFactory.CreateLogger<GrpcServer>();
        _log = new RpcLog(logger);
        _counters = options.Counters;
        string[] served = [.. options.Endpoints.SelectMany(static endpoint => NamesOf(endpoint))];
        _endpoints = [.. options.Endpoints.Select(endpoint => Serve(endpoint, served.Except(NamesOf(endpoint)).ToFrozenSet(StringComparer.Ordinal)))];
        _application = new GrpcApplication(options, _log, logger.IsEnabled(LogLevel.Debug), timeProvider, _stopping.Token);
        int descriptors = options.MaxDescriptorsUnderWay ?? GrpcLimits.DescriptorsUnderWay(DescriptorTable.GetLimit());
        DescriptorBudget budget = new(descriptors, options.MaxDescriptorsUnderWayPerUser ?? GrpcLimits.DescriptorsUnderWayPerUser(descriptors), options.Counters);
        ConnectionNumbers numbers = new();
        WarningThrottle throttle = new(timeProvider);
        TicketLog ticketLog = new(loggerFactory.CreateLogger<TicketBook>(), throttle);
        _tickets = new TicketBook(budget, numbers, ticketLog, options.Counters, timeProvider);
        TransportLog transportLog = new(loggerFactory.CreateLogger<UnixSocketTransport>(), throttle);
        Offences offences = new(transportLog);
        TransportOptions shared = new(options.PrefaceTimeout, budget, numbers, _tickets, ticketLog, options.Counters, offences);
        UnixSocketTransport transport = new(shared, transportLog, timeProvider);
        _kestrel = new KestrelServer(Options.Create(CreateKestrelOptions(options)), transport, new KestrelLoggerFactory(loggerFactory, _log, throttle, options.Counters, offences));
        Health.Set(string.Empty, HealthCheckResponse.Types.ServingStatus.Serving);
    }

    /// <summary>What grpc.health.v1.Health answers. Every service serves until somebody says otherwise.</summary>
    public HealthStatus Health { get; } = new();

    /// <summary>Makes the sockets and serves them.</summary>
    /// <exception cref="IOException">A socket can't be made; the message says which, why, and what to do.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await _kestrel.StartAsync(_application, cancellationToken);
        foreach (ServedEndPoint endpoint in _endpoints)
        {
            _log.Serving(endpoint.Path);
        }
    }

    /// <summary>
    /// Stops accepting, ends calls that stream their answers with UNAVAILABLE, lets those with one answer finish until
    /// <paramref name="cancellationToken"/> is cancelled, then aborts what is left. Each connection is told with GOAWAY,
    /// a ticket's by its end.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (!_stopped)
        {
            _stopped = true;
            await _stopping.CancelAsync();
            await _kestrel.StopAsync(cancellationToken);
            _tickets.Dispose();
        }
    }

    /// <summary>Stops at once.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(new CancellationToken(canceled: true));
        _kestrel.Dispose();
        _stopping.Dispose();
        _counters.Dispose();
    }

    private static IEnumerable<string> NamesOf(GrpcEndpoint endpoint) => endpoint.Services.Select(static service => service.Descriptor.FullName);

    private ServedEndPoint Serve(GrpcEndpoint endpoint, FrozenSet<string> elsewhere)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(endpoint.MaxConnections, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(endpoint.MaxConnectionsPerUser, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(endpoint.MaxSilentPerUser, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(endpoint.MaxCallsPerUser, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(endpoint.DescriptorsKeptFree, 0);
        DescriptorIndex index = new();
        List<IGrpcService> services = [.. endpoint.Services, new HealthService(Health, elsewhere), new ReflectionService(index), new AlphaReflectionService(index)];
        foreach (IGrpcService service in services)
        {
            index.Add(service.Descriptor);
            Health.Set(service.Descriptor.FullName, HealthCheckResponse.Types.ServingStatus.Serving);
        }

        return new ServedEndPoint(endpoint.SocketPath, MethodTable.Create(services))
        {
            Mode = endpoint.Mode,
            Group = endpoint.Group,
            Inherited = endpoint.Inherited,
            Limits = new UserLimits(endpoint.MaxConnections, endpoint.MaxConnectionsPerUser, endpoint.MaxSilentPerUser, endpoint.MaxCallsPerUser) { Pace = endpoint.Pace },
            TakesTickets = endpoint.TakesTickets,
            DescriptorsKeptFree = endpoint.DescriptorsKeptFree,
        };
    }

    private KestrelServerOptions CreateKestrelOptions(GrpcServerOptions options)
    {
        KestrelServerOptions kestrel = new() { AddServerHeader = false };

        // A lease lives as long as its connection, so nothing may end a quiet one: death is known from the socket and the pidfd, and a
        // ping would kill a client that sits in a debugger. Pings are off unless asked for.
        kestrel.Limits.KeepAliveTimeout = GrpcLimits.KeepAliveTimeout;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;

        // Streams may be of any length; messages have a limit of their own, and the transport counts the connections.
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MaxConcurrentConnections = null;
        kestrel.Limits.Http2.InitialConnectionWindowSize = GrpcLimits.ConnectionWindow;
        kestrel.Limits.Http2.InitialStreamWindowSize = GrpcLimits.StreamWindow;
        kestrel.Limits.MaxRequestHeadersTotalSize = GrpcLimits.MaxRequestHeadersSize;
        kestrel.Limits.Http2.MaxRequestHeaderFieldSize = GrpcLimits.MaxRequestHeadersSize;
        kestrel.Limits.MaxRequestHeaderCount = GrpcLimits.MaxRequestHeaderCount;
        kestrel.Limits.MaxRequestLineSize = GrpcLimits.MaxRequestLineSize;
        kestrel.Limits.RequestHeadersTimeout = options.RequestHeadersTimeout;
        foreach (ServedEndPoint endpoint in _endpoints)
        {
            kestrel.Listen(endpoint, static listen => listen.Protocols = HttpProtocols.Http2);
        }

        return kestrel;
    }
}
