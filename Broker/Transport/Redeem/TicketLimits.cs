namespace BarBroker.Transport.Redeem;

/// <summary>The numbers of tickets, each with its reason.</summary>
internal static class TicketLimits
{
    /// <summary>Tickets of one user that are not redeemed yet: each is a lease that nobody uses, and an open descriptor of the broker.</summary>
    internal const int UnredeemedPerUser = 64;

    /// <summary>Refused tickets of one user in a <see cref="GuessingWindow"/>, far more than a client without a fault has.</summary>
    internal const int WrongPerWindow = 8;

    /// <summary>Tickets that are remembered after their end, so that who comes with one too late is told, or the log is, what became of it.</summary>
    internal const int Remembered = 1024;

    /// <summary>
    /// A client redeems its ticket right after the reply, which takes milliseconds; this is for busy machines and for a hand-over to another
    /// process. Not longer: until then a range may be taken by one who is gone.
    /// </summary>
    internal static readonly TimeSpan ValidFor = TimeSpan.FromSeconds(10);

    /// <summary>Begins with a user's first refused ticket.</summary>
    internal static readonly TimeSpan GuessingWindow = TimeSpan.FromMinutes(1);
}
