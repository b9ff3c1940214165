using System.Collections.Immutable;
using System.Net.Sockets;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;

namespace BarBroker.Rpc;

/// <summary>One Unix socket, and what is served on it.</summary>
public sealed class GrpcEndpoint
{
    /// <summary>Where the socket is made. Its directory must exist. A dead broker's socket there is replaced, a live one's never.</summary>
    public required string SocketPath { get; init; }

    /// <summary>The services, besides reflection and health, which every endpoint has.</summary>
    public required ImmutableArray<IGrpcService> Services { get; init; }

    /// <summary>Who may connect: connecting takes write permission.</summary>
    public UnixFileMode Mode { get; init; } = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The socket's group; null leaves it to the process.</summary>
    public uint? Group { get; init; }

    /// <summary>A socket that listens already, from the service manager; then nothing is made, changed or removed at <see cref="SocketPath"/>. The server owns it.</summary>
    public Socket? Inherited { get; init; }

    /// <summary>Connections at a time. One more is accepted and closed at once. Each endpoint has its own budget, so that a flood on one locks nobody out of the other.</summary>
    public int MaxConnections { get; init; } = GrpcLimits.MaxConnections;

    /// <summary>Connections of one uid at a time, so that one user can't lock the others out.</summary>
    public int MaxConnectionsPerUser { get; init; } = GrpcLimits.MaxConnectionsPerUser;

    /// <summary>Connections of one uid at a time that have not sent the HTTP/2 preface, or a ticket.</summary>
    public int MaxSilentPerUser { get; init; } = GrpcLimits.MaxSilentPerUser;

    /// <summary>Calls of one uid under way, on all its connections; one more is RESOURCE_EXHAUSTED.</summary>
    public int MaxCallsPerUser { get; init; } = GrpcLimits.MaxCallsPerUser;

    /// <summary>What one user's misuse may cost before its connections are read more slowly.</summary>
    internal PaceLimit Pace { get; init; } = PaceLimits.OfUser;

    /// <summary>Calls here may give out tickets, which are redeemed here. A connection that comes with one to another endpoint is told that it is none.</summary>
    public bool TakesTickets { get; init; }

    /// <summary>Descriptors of this process that connections here leave free: one that finds no more is closed once it is accepted.</summary>
    public int DescriptorsKeptFree { get; init; } = DescriptorReserve.Size;
}

/// <summary>What a <see cref="GrpcServer"/> serves, and its limits.</summary>
public sealed class GrpcServerOptions
{
    /// <summary>The sockets.</summary>
    public required ImmutableArray<GrpcEndpoint> Endpoints { get; init; }

    /// <summary>Bytes of one request message; a longer one is RESOURCE_EXHAUSTED.</summary>
    public int MaxReceiveMessageSize { get; init; } = GrpcLimits.MaxReceiveMessageSize;

    /// <summary>How long a new connection may take to send the HTTP/2 preface, or a ticket.</summary>
    public TimeSpan PrefaceTimeout { get; init; } = GrpcLimits.PrefaceTimeout;

    /// <summary>How long a call's headers may take from their first frame to their last. Kestrel looks once a second.</summary>
    public TimeSpan RequestHeadersTimeout { get; init; } = GrpcLimits.RequestHeadersTimeout;

    /// <summary>Descriptors on their way on all connections; null takes half of RLIMIT_NOFILE.</summary>
    public int? MaxDescriptorsUnderWay { get; init; }

    /// <summary>Of these, how many to the connections of one uid to one endpoint; null takes a quarter.</summary>
    public int? MaxDescriptorsUnderWayPerUser { get; init; }

    /// <summary>Learn what happens on the wire. The server disposes them.</summary>
    internal WireCounters Counters { get; init; } = new();
}
