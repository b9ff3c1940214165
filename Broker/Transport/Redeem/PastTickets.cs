namespace BarBroker.Transport.Redeem;

/// <summary>What became of the last <see cref="TicketLimits.Remembered"/> tickets. Under the book's lock.</summary>
internal sealed class PastTickets
{
    private readonly Dictionary<TicketSecret, (uint Uid, TicketFate Fate)> _fates = [];
    private readonly Queue<TicketSecret> _order = [];

    internal void Add(TicketSecret secret, uint uid, TicketFate fate)
    {
        if (_order.Count == TicketLimits.Remembered)
        {
            _fates.Remove(_order.Dequeue());
        }

        _order.Enqueue(secret);
        _fates[secret] = (uid, fate);
    }

    /// <summary>What to say of it when this user comes with it.</summary>
    internal TicketFate Find(TicketSecret secret, uint uid)
    {
        if (!_fates.TryGetValue(secret, out (uint Uid, TicketFate Fate) past))
        {
            return TicketFate.Unknown;
        }

        return past.Uid == uid ? past.Fate : TicketFate.OfAnotherUser;
    }
}
