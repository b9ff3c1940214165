namespace BarBroker.Transport.Redeem;

/// <summary>
/// Counts each user's refused tickets: past <see cref="TicketLimits.WrongPerWindow"/> of them nothing that the user sends is looked at until the
/// window is over. Under the book's lock.
/// </summary>
internal sealed class WrongTickets(TimeProvider time)
{
    private readonly Dictionary<uint, (long Begin, int Count)> _windows = [];

    internal bool IsBlocked(uint uid) => Current(uid) is { Count: >= TicketLimits.WrongPerWindow };

    /// <summary>Counts one more.</summary>
    /// <returns>True when it is the one with which the user is blocked.</returns>
    internal bool Add(uint uid)
    {
        if (Current(uid) is { } window)
        {
            _windows[uid] = (window.Begin, window.Count + 1);
            return window.Count + 1 == TicketLimits.WrongPerWindow;
        }

        // Seldom enough to look at all of them; otherwise those of users who never come again would stay.
        foreach (uint over in _windows.Where(entry => IsOver(entry.Value.Begin)).Select(entry => entry.Key).ToArray())
        {
            _windows.Remove(over);
        }

        _windows[uid] = (time.GetTimestamp(), 1);
        return false;
    }

    private (long Begin, int Count)? Current(uint uid)
        => _windows.TryGetValue(uid, out (long Begin, int Count) window) && !IsOver(window.Begin) ? window : null;

    private bool IsOver(long begin) => time.GetElapsedTime(begin) >= TicketLimits.GuessingWindow;
}
