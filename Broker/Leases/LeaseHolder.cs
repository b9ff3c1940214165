using BarBroker.Transport;

namespace BarBroker.Leases;

/// <summary>A connection that has, had or watches leases. Changes under the table's lock only.</summary>
internal sealed class LeaseHolder(IPeerConnection connection)
{
    private CancellationTokenRegistration _exited;
    private CancellationTokenRegistration _closed;
    private volatile bool _isOver;

    public IPeerConnection Connection { get; } = connection;

    /// <summary>All that hold a range.</summary>
    public HashSet<Lease> Leases { get; } = [];

    /// <summary>Who listens to it, if anybody does.</summary>
    public LeaseFeed? Feed { get; set; }

    /// <summary>The devices that it was told are suspended, and not yet that they are back.</summary>
    public HashSet<string> ToldSuspended { get; } = new(StringComparer.Ordinal);

    /// <summary>The connection is over: it gets no more leases.</summary>
    public bool IsOver
    {
        get => _isOver;
        set => _isOver = value;
    }

    /// <summary>Calls back once for each of the two ways in which a connection ends, at once if it has. Not under the lock.</summary>
    public void Register(Action<LeaseHolder, EndReason> ended)
    {
        // The process first: where both have happened, it says more.
        _exited = Connection.ProcessExited.UnsafeRegister(_ => ended(this, EndReason.ProcessExited), null);

        // A connection that was handed on may live, and call, long after the process that made it: then it must not collect registrations.
        if (!IsOver)
        {
            _closed = Connection.Closed.UnsafeRegister(_ => ended(this, EndReason.ConnectionClosed), null);
            if (IsOver)
            {
                // The first called back meanwhile, when there was nothing to unregister here.
                _closed.Unregister();
            }
        }
    }

    /// <summary>Does not wait for a callback that runs: each of the two may be the one that calls this.</summary>
    public void Unregister()
    {
        _exited.Unregister();
        _closed.Unregister();
    }
}
