using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Transport;

namespace BarBroker.Leases;

/// <summary>
/// Who holds what. The one place where leases begin and end; whatever ends one goes through <see cref="BeginEnd"/>, and the range of a
/// lease is free again only once its device has confirmed the end.
/// </summary>
/// <remarks>
/// One lock guards all of it, is never held across an await, and nothing that could block or call back runs under it. After
/// every await the state is looked at again.
/// </remarks>
internal sealed partial class LeaseTable
{
    private readonly Lock _lock = new();
    private readonly LeaseLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger<LeaseTable> _logger;
    private readonly WarningThrottle _warnings;
    private readonly LeaseClock _clock;
    private readonly Dictionary<string, DeviceLeases> _devices;
    private readonly Dictionary<LeaseId, Lease> _leases = [];
    private readonly Dictionary<ulong, LeaseHolder> _holders = [];
    private readonly Dictionary<uint, int> _leasesOfUser = [];
    private readonly QuotaUsage _quotas = new();
    private ulong _newest;
    private bool _shuttingDown;

    /// <param name="devices">The devices that leases are of. The table does not own them; they must outlive <see cref="ShutdownAsync"/>.</param>
    /// <param name="limits">How much there is for whom.</param>
    /// <param name="time">The clock of acquire times.</param>
    /// <param name="logger">Where leases leave a trace.</param>
    public LeaseTable(IEnumerable<IBarDevice> devices, LeaseLimits limits, TimeProvider time, ILogger<LeaseTable> logger)
    {
        _limits = limits;
        _time = time;
        _logger = logger;
        _warnings = new WarningThrottle(time);
        _clock = new LeaseClock(time, OnDue);
        _devices = new Dictionary<string, DeviceLeases>(StringComparer.Ordinal);
        foreach (IBarDevice device in devices)
        {
            Attach(device);
        }
    }

    /// <summary>The leases that hold a range, in order of their ids.</summary>
    public ImmutableArray<LeaseInfo> List(Func<Lease, bool> filter)
    {
        lock (_lock)
        {
            return [.. _leases.Values.Where(filter).OrderBy(lease => lease.Id.Value).Select(ToInfo)];
        }
    }

    /// <summary>Listens to what happens to the leases of a connection. The caller disposes the result when it stops.</summary>
    /// <exception cref="LeaseRefusedException">The connection has a watcher, or the broker is shutting down.</exception>
    public LeaseFeed Watch(IPeerConnection connection)
    {
        LeaseHolder holder = HolderOf(connection);
        lock (_lock)
        {
            ThrowIfShuttingDown();
            if (holder.Feed is not null)
            {
                throw new LeaseRefusedException(LeaseRefusal.WatchExists, "This connection has a Watch already: one sees all of the connection's leases. End it first.");
            }

            holder.Feed = new LeaseFeed(_lock, _limits.EventsPerWatch, () => TakeSnapshot(holder), feed => Detach(holder, feed));
            if (holder.IsOver)
            {
                holder.Feed.Complete();
            }

            return holder.Feed;
        }
    }

    /// <summary>The connection's entry, made with its first lease or watch.</summary>
    private LeaseHolder HolderOf(IPeerConnection connection)
    {
        LeaseHolder? holder;
        lock (_lock)
        {
            if (_holders.TryGetValue(connection.Id, out holder))
            {
                return holder;
            }

            holder = new LeaseHolder(connection);
            _holders.Add(connection.Id, holder);
        }

        // Not under the lock: on a connection that is over, this calls back at once. Whoever reserves in between is found by that call.
        holder.Register(OnConnectionOver);
        return holder;
    }

    private LeaseSnapshot TakeSnapshot(LeaseHolder holder)
        => new(
            [.. holder.Leases.Where(lease => lease.WasActive && !lease.EndWasTold).OrderBy(lease => lease.Id.Value).Select(ToInfo)],
            TakeSuspended(holder));

    private LeaseInfo ToInfo(Lease lease)
        => lease.ToInfo(lease is { Due: { } due, State: LeaseState.Active or LeaseState.Noticed } ? _clock.ToWallClock(due) : null);

    private static void Detach(LeaseHolder holder, LeaseFeed feed)
    {
        if (holder.Feed == feed)
        {
            holder.Feed = null;
        }
    }

    private void ThrowIfShuttingDown()
    {
        if (_shuttingDown)
        {
            throw new LeaseRefusedException(LeaseRefusal.ShuttingDown, "The broker is shutting down: connect again once it is back.");
        }
    }
}
