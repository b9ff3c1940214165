namespace BarBroker.Transport;

/// <summary>
/// Keeps what a peer can provoke from filling the log: of each kind of warning, and of each user, one line in <see cref="Interval"/>, which says
/// how many more there were. The counters have every one of them.
/// </summary>
internal sealed class WarningThrottle(TimeProvider time)
{
    /// <summary>Often enough to see that something goes on, and when it stops.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    /// <summary>Users of whom it is remembered, by kind: as many as a host may have that misbehave at once. Others share one line.</summary>
    internal const int MostRemembered = 1024;

    private const uint AnyUser = uint.MaxValue;

    private readonly Lock _gate = new();
    private readonly Dictionary<(int Event, uint Uid), (long Since, long Kept)> _lines = [];

    /// <summary>Whether the warning is to be logged now.</summary>
    /// <param name="eventId">Its kind.</param>
    /// <param name="uid">Who provoked it; null when that is not known.</param>
    /// <param name="more">How many were kept back since the last line.</param>
    internal bool Passes(int eventId, uint? uid, out long more)
    {
        lock (_gate)
        {
            (int, uint) key = (eventId, uid ?? AnyUser);
            if (!_lines.ContainsKey(key) && _lines.Count >= MostRemembered && !TryForget())
            {
                key = (eventId, AnyUser);
            }

            if (_lines.TryGetValue(key, out (long Since, long Kept) line) && !IsOver(line.Since))
            {
                _lines[key] = (line.Since, line.Kept + 1);
                more = 0;
                return false;
            }

            more = line.Kept;
            _lines[key] = (time.GetTimestamp(), 0);
            return true;
        }
    }

    /// <summary>Forgets what is over; what was kept back of it stays untold.</summary>
    private bool TryForget()
    {
        int before = _lines.Count;
        foreach ((int, uint) over in _lines.Where(line => IsOver(line.Value.Since)).Select(line => line.Key).ToArray())
        {
            _lines.Remove(over);
        }

        return _lines.Count < before;
    }

    private bool IsOver(long since) => time.GetElapsedTime(since) >= Interval;
}
