namespace BarBroker.Transport.Redeem;

/// <summary>Where a ticket is in its life: from made to over, with redeemed in between or not.</summary>
internal enum TicketStage
{
    /// <summary>Its lease is being made.</summary>
    Made,

    /// <summary>Its client has it, or is about to.</summary>
    Issued,

    /// <summary>A connection has come for it.</summary>
    Redeemed,

    /// <summary>The lease is over, or about to be.</summary>
    Over,
}

/// <summary>What becomes of tickets, or never was one.</summary>
internal enum TicketFate
{
    /// <summary>No such ticket is remembered.</summary>
    Unknown,

    /// <summary>It is another user's.</summary>
    OfAnotherUser,

    /// <summary>It was redeemed before.</summary>
    Used,

    /// <summary>Nobody came in time.</summary>
    Expired,

    /// <summary>Its lease ended before anybody came.</summary>
    LeaseOver,
}
