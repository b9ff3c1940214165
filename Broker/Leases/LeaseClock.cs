namespace BarBroker.Leases;

/// <summary>
/// Says when leases are due: one timer for all, and an entry for each that has an end of its own. By a clock that nobody sets, and that stands still while
/// the machine sleeps. Everything but the timer's call is under the table's lock.
/// </summary>
internal sealed class LeaseClock
{
    /// <summary>A timer counts whole milliseconds, and is not to come in the one before; nor at once, which would be under the table's lock.</summary>
    private static readonly TimeSpan ShortestWait = TimeSpan.FromMilliseconds(1);

    /// <summary>A timer counts less than 50 days: the rest is for the next.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly SortedSet<(long Due, ulong Id)> _entries = [];
    private readonly Dictionary<ulong, (long Due, Lease Lease)> _leases = [];
    private long _armedFor = long.MaxValue;

    /// <param name="time">The clock.</param>
    /// <param name="due">Called, not under the lock, when something may be due.</param>
    public LeaseClock(TimeProvider time, Action due)
    {
        _time = time;
        _timer = time.CreateTimer(static due => ((Action)due!)(), due, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>This clock's reading after so long.</summary>
    public long After(TimeSpan span) => _time.GetTimestamp() + (long)Math.Ceiling(span.TotalSeconds * _time.TimestampFrequency);

    /// <summary>What that reading is by the wall clock as it is now.</summary>
    public DateTimeOffset ToWallClock(long due) => _time.GetUtcNow() + Until(due);

    /// <summary>How long until then; negative when it is over.</summary>
    public TimeSpan Until(long due) => _time.GetElapsedTime(_time.GetTimestamp(), due);

    /// <summary>Takes the lease's <see cref="Lease.Due"/> in, in place of what it was.</summary>
    public void Set(Lease lease)
    {
        Remove(lease);
        if (lease.Due is { } due)
        {
            _entries.Add((due, lease.Id.Value));
            _leases.Add(lease.Id.Value, (due, lease));
            Arm();
        }
    }

    /// <summary>The lease needs no clock any more.</summary>
    public void Remove(Lease lease)
    {
        if (_leases.Remove(lease.Id.Value, out (long Due, Lease) entry))
        {
            _entries.Remove((entry.Due, lease.Id.Value));
        }
    }

    /// <summary>Those that are due by now, which leave the clock.</summary>
    public List<Lease> TakeDue()
    {
        List<Lease> due = [];
        long now = _time.GetTimestamp();
        while (_entries.Count > 0 && _entries.Min is { Due: var first, Id: var id } && first <= now)
        {
            _entries.Remove((first, id));
            _leases.Remove(id, out (long, Lease Lease) entry);
            due.Add(entry.Lease);
        }

        _armedFor = long.MaxValue;
        Arm();
        return due;
    }

    /// <summary>One that is armed for an earlier lease, which has left meanwhile, finds nothing and is armed anew: a release need not touch it.</summary>
    private void Arm()
    {
        if (_entries.Count == 0 || _entries.Min.Due >= _armedFor)
        {
            return;
        }

        _armedFor = _entries.Min.Due;

        TimeSpan wait = Until(_armedFor) + ShortestWait;
        _timer.Change(wait < ShortestWait ? ShortestWait : wait > LongestWait ? LongestWait : wait, Timeout.InfiniteTimeSpan);
    }
}
