using System.Collections.Concurrent;
using BarBroker.Transport.Pacing;

namespace BarBroker.Transport;

/// <summary>
/// Finds the user of a connection that is ended for what it sent, of which Kestrel says no more than its number, and holds it against that user
/// (<see cref="TransportLimits.OffencesPerWindow"/>).
/// </summary>
internal sealed class Offences(TransportLog log)
{
    private readonly ConcurrentDictionary<string, AcceptedPeer> _peers = new(StringComparer.Ordinal);

    internal void Follow(string connectionId, AcceptedPeer peer) => _peers[connectionId] = peer;

    internal void Forget(string connectionId) => _peers.TryRemove(connectionId, out _);

    /// <summary>Whose the connection is; null for one that is over.</summary>
    internal uint? UserOf(string? connectionId)
        => connectionId is not null && _peers.TryGetValue(connectionId, out AcceptedPeer? peer) ? peer.Credentials.Uid : null;

    /// <summary>Something was refused that costs more than it looks (<see cref="PaceLimits"/>).</summary>
    internal void Charge(string connectionId, int microseconds)
    {
        if (_peers.TryGetValue(connectionId, out AcceptedPeer? peer))
        {
            peer.Account.Pace.Charge(microseconds);
        }
    }

    /// <summary>The connection is about to end for what it sent.</summary>
    internal void Add(string connectionId)
    {
        if (_peers.TryGetValue(connectionId, out AcceptedPeer? peer) && peer.AddOffence())
        {
            log.Blocked(peer.EndPoint.Path, peer.Credentials.Uid, peer.Credentials.Pid, TransportLimits.OffencesPerWindow, TransportLimits.OffenceWindow);
        }
    }
}
