namespace BarBroker.Transport.Redeem;

/// <summary>The one byte that answers a ticket. Its values are the protocol's; broker.proto documents them.</summary>
internal enum RedeemAnswer : byte
{
    /// <summary>The descriptor comes with this byte.</summary>
    Granted = 0,

    /// <summary>There is no such ticket for this user.</summary>
    Refused = 1,

    /// <summary>Of this user, or in all.</summary>
    TooManyConnections = 2,

    /// <summary>That was no ticket, or this socket takes none.</summary>
    Malformed = 3,

    /// <summary>The lease ended before its descriptor was fetched.</summary>
    LeaseOver = 4,
}
