using System.Collections.Concurrent;
using BarBroker.Transport.Counting;

namespace BarBroker.Transport;

/// <summary>
/// Counts the descriptors on their way on all connections. The kernel charges those that a peer has not read to this user, against
/// RLIMIT_NOFILE: past it, sending fails on every connection, not just on the guilty one. Places are taken through a <see cref="DescriptorShare"/>.
/// </summary>
/// <param name="limit">In all.</param>
/// <param name="limitPerUser">Of one user.</param>
/// <param name="counters">Learn of those that got no place.</param>
internal sealed class DescriptorBudget(int limit, int limitPerUser, WireCounters counters)
{
    private readonly ConcurrentDictionary<OutgoingDescriptors, bool> _connections = new();
    private int _used;

    /// <summary>How many may be under way.</summary>
    internal int Limit => limit;

    /// <summary>How many of one user.</summary>
    internal int LimitPerUser => limitPerUser;

    /// <summary>How many are, as far as is known; never fewer than really are.</summary>
    internal int Used => Volatile.Read(ref _used);

    internal void Add(OutgoingDescriptors connection) => _connections[connection] = true;

    internal void Remove(OutgoingDescriptors connection) => _connections.TryRemove(connection, out _);

    /// <summary>Asks connections what their peers have read meanwhile.</summary>
    /// <param name="share">Whose; null for all.</param>
    internal void Refresh(DescriptorShare? share)
    {
        foreach (KeyValuePair<OutgoingDescriptors, bool> connection in _connections)
        {
            if (share is null || connection.Key.Share == share)
            {
                connection.Key.Refresh();
            }
        }
    }

    /// <summary>For a share: takes a place.</summary>
    internal bool TryReserve()
    {
        if (TryTake())
        {
            return true;
        }

        Refresh(share: null);
        return TryTake();
    }

    /// <summary>For a share: gives places back.</summary>
    internal void Release(int count) => Interlocked.Add(ref _used, -count);

    /// <summary>There was no place for a descriptor.</summary>
    internal void Count(RefusedDescriptor refused) => counters.DescriptorsRefused.Add(refused);

    private bool TryTake()
    {
        if (Interlocked.Increment(ref _used) <= limit)
        {
            return true;
        }

        Interlocked.Decrement(ref _used);
        return false;
    }
}
