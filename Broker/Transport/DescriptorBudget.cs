using System.Collections.Concurrent;

namespace BarBroker.Transport;

/// <summary>
/// Counts the descriptors on their way on all connections. The kernel charges those that a peer has not read to this user, against
/// RLIMIT_NOFILE: past it, sending fails on every connection, not just on the guilty one.
/// </summary>
internal sealed class DescriptorBudget(int limit)
{
    private readonly ConcurrentDictionary<OutgoingDescriptors, bool> _connections = new();
    private int _used;

    /// <summary>How many may be under way.</summary>
    internal int Limit => limit;

    /// <summary>How many are, as far as is known; never fewer than really are.</summary>
    internal int Used => Volatile.Read(ref _used);

    internal void Add(OutgoingDescriptors connection) => _connections[connection] = true;

    internal void Remove(OutgoingDescriptors connection) => _connections.TryRemove(connection, out _);

    /// <summary>Takes a place. When none is free, each connection is asked what its peer has read meanwhile.</summary>
    internal bool TryReserve()
    {
        if (TryTake())
        {
            return true;
        }

        foreach (KeyValuePair<OutgoingDescriptors, bool> connection in _connections)
        {
            connection.Key.Refresh();
        }

        return TryTake();
    }

    /// <summary>What one who got no place is told.</summary>
    internal DescriptorBudgetException Exhausted() => new(
        $"All {limit} descriptors that may be under way to clients are: some clients don't read. Try again later; LimitNOFILE in the broker's unit raises it.");

    internal void Release(int count) => Interlocked.Add(ref _used, -count);

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
