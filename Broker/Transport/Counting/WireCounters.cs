using System.Diagnostics.Metrics;
using BarBroker.Transport.Metering;
using BarBroker.Transport.Pacing;

namespace BarBroker.Transport.Counting;

/// <summary>
/// What happens on the sockets, in numbers: by the meter <see cref="MeterName"/> for a metrics collector, and by <see cref="Read"/> for the
/// admin's GetCounters, which are the same numbers.
/// </summary>
internal sealed class WireCounters : IDisposable
{
    internal const string MeterName = "BarBroker.Wire";

    private readonly Meter _meter = new(MeterName);
    private readonly Gauge _connections;
    private readonly Gauge _calls;
    private readonly Gauge _descriptors;

    internal WireCounters()
    {
        ConnectionsRefused = new(_meter, "bar_broker.wire.connections.refused", "{connection}", "Connections that were closed when they were accepted");
        ProtocolErrors = new(_meter, "bar_broker.wire.protocol_errors", "{error}", "Connections and calls that were ended because the peer did not keep to HTTP/2 or its limits");
        FrameFloods = new(_meter, "bar_broker.wire.frame_floods", "{connection}", "Connections that were ended because of too many frames of a kind");
        Frames = new(_meter, "bar_broker.wire.frames", "{frame}", "Frames that were received");
        ReadsSlowed = new(_meter, "bar_broker.wire.reads.slowed", "{read}", "Reads that waited because of what their user does");
        CallsRefused = new(_meter, "bar_broker.wire.calls.refused", "{call}", "Calls that were turned away before their handler saw them");
        DescriptorsRefused = new(_meter, "bar_broker.wire.descriptors.refused", "{descriptor}", "Descriptors that were not sent because too many are under way");
        TicketsRefused = new(_meter, "bar_broker.wire.tickets.refused", "{ticket}", "Tickets that were not issued, or got no descriptor");
        _connections = new(_meter, "bar_broker.wire.connections", "{connection}", "endpoint", "Connections, by the socket's name");
        _calls = new(_meter, "bar_broker.wire.calls", "{call}", "endpoint", "Calls under way, by the socket's name");
        _descriptors = new(_meter, "bar_broker.wire.descriptors", "{descriptor}", "endpoint", "Descriptors that were sent and, as far as is known, not read, by the socket's name");
    }

    internal KindCounter<RefusedConnection> ConnectionsRefused { get; }

    internal KindCounter<BrokenProtocol> ProtocolErrors { get; }

    internal KindCounter<FrameKind> FrameFloods { get; }

    internal KindCounter<TakenFrame> Frames { get; }

    internal KindCounter<SlowedRead> ReadsSlowed { get; }

    internal KindCounter<RefusedCall> CallsRefused { get; }

    internal KindCounter<RefusedDescriptor> DescriptorsRefused { get; }

    internal KindCounter<RefusedTicket> TicketsRefused { get; }

    /// <summary>Shows what is under way on an endpoint, from now on.</summary>
    internal void Show(string endpoint, UserAccounts accounts)
    {
        _connections.Show(endpoint, () => accounts.Connections);
        _calls.Show(endpoint, () => accounts.Calls);
        _descriptors.Show(endpoint, () => accounts.Descriptors);
    }

    /// <summary>Counts a turn, if one was needed.</summary>
    internal void Count(Turn turn)
    {
        if (turn.IsTaken || turn.HasLeft)
        {
            ReadsSlowed.Add(turn.IsSlowed ? SlowedRead.Misuse : SlowedRead.Turn);
        }
    }

    /// <summary>All numbers as they are now.</summary>
    internal IEnumerable<Reading> Read() =>
    [
        .. ConnectionsRefused.Read(), .. ProtocolErrors.Read(), .. FrameFloods.Read(), .. Frames.Read(), .. ReadsSlowed.Read(), .. CallsRefused.Read(),
        .. DescriptorsRefused.Read(), .. TicketsRefused.Read(), .. _connections.Read(), .. _calls.Read(), .. _descriptors.Read(),
    ];

    /// <summary>For tests, beside which other servers count.</summary>
    internal bool Owns(Meter meter) => meter == _meter;

    public void Dispose() => _meter.Dispose();
}
