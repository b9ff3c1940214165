namespace BarBroker.Transport;

/// <summary>Counts what each user did wrong: with so many in a window the user is blocked until the window is over. Thread-safe.</summary>
/// <param name="time">The clock.</param>
/// <param name="limit">With how many a user is blocked.</param>
/// <param name="window">Begins with a user's first.</param>
internal sealed class Strikes(TimeProvider time, int limit, TimeSpan window)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, (long Begin, int Count)> _windows = [];

    internal bool IsBlocked(uint uid)
    {
        lock (_gate)
        {
            return Current(uid) is { } current && current.Count >= limit;
        }
    }

    /// <summary>Counts so many more.</summary>
    /// <returns>True when it is with these that the user is blocked.</returns>
    internal bool Add(uint uid, int count = 1)
    {
        lock (_gate)
        {
            if (Current(uid) is { } current)
            {
                _windows[uid] = (current.Begin, current.Count + count);
                return current.Count < limit && current.Count + count >= limit;
            }

            // Seldom enough to look at all of them; otherwise those of users who never come again would stay.
            foreach (uint over in _windows.Where(entry => IsOver(entry.Value.Begin)).Select(entry => entry.Key).ToArray())
            {
                _windows.Remove(over);
            }

            _windows[uid] = (time.GetTimestamp(), count);
            return count >= limit;
        }
    }

    private (long Begin, int Count)? Current(uint uid)
        => _windows.TryGetValue(uid, out (long Begin, int Count) current) && !IsOver(current.Begin) ? current : null;

    private bool IsOver(long begin) => time.GetElapsedTime(begin) >= window;
}
