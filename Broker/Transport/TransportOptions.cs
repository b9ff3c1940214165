using System.Net;
using System.Net.Sockets;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Redeem;

namespace BarBroker.Transport;

/// <summary>A Unix socket to listen on.</summary>
internal abstract class UnixSocketEndPoint(string path) : EndPoint
{
    /// <summary>Where it is.</summary>
    internal string Path { get; } = path;

    /// <summary>The socket's exact mode, whatever the umask.</summary>
    internal required UnixFileMode Mode { get; init; }

    /// <summary>Its group; null leaves it to the process.</summary>
    internal required uint? Group { get; init; }

    /// <summary>A socket that listens already.</summary>
    internal required Socket? Inherited { get; init; }

    /// <summary>What it takes, in all and of one uid.</summary>
    internal required UserLimits Limits { get; init; }

    /// <summary>Leases can be fetched with tickets here.</summary>
    internal bool TakesTickets { get; init; }

    /// <summary>A connection that finds no more descriptors free than these is refused.</summary>
    internal int DescriptorsKeptFree { get; init; } = DescriptorReserve.Size;

    /// <inheritdoc/>
    public override string ToString() => $"unix:{Path}";
}

/// <summary>What all endpoints share.</summary>
/// <param name="PrefaceTimeout">How long a connection may stay silent at its start.</param>
/// <param name="Budget">Descriptors under way on all connections.</param>
/// <param name="Numbers">Of connections and tickets.</param>
/// <param name="Tickets">Of all connections.</param>
/// <param name="TicketLog">What becomes of them.</param>
/// <param name="Counters">Of all connections.</param>
/// <param name="Offences">Of all connections that Kestrel has.</param>
internal sealed record TransportOptions(
    TimeSpan PrefaceTimeout, DescriptorBudget Budget, ConnectionNumbers Numbers, TicketBook Tickets, TicketLog TicketLog, WireCounters Counters, Offences Offences);

/// <summary>Numbers from 1, each once: of connections, and of tickets, which hold leases as connections do.</summary>
internal sealed class ConnectionNumbers
{
    private ulong _last;

    internal ulong Next() => Interlocked.Increment(ref _last);
}
