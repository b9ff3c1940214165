namespace BarBroker.Transport.Counting;

/// <summary>Why a connection was closed right after it was accepted.</summary>
internal enum RefusedConnection
{
    /// <summary>All of the endpoint's are in use.</summary>
    Full,

    /// <summary>All of its user's are.</summary>
    UserFull,

    /// <summary>Too many of its user's have not said what they came for.</summary>
    UserSilent,

    /// <summary>Too many of its user's were ended for what they sent, a moment ago.</summary>
    UserBlocked,

    /// <summary>Too many of its user's were taken a moment ago.</summary>
    UserTooOften,

    /// <summary>Its user is slowed down for what it did, and too many connections wait for that.</summary>
    UserSlowed,

    /// <summary>Too many of its user's calls were under way when their connections ended, a moment ago.</summary>
    UserDroppedCalls,

    /// <summary>The kernel does not say who made it.</summary>
    UnknownPeer,

    /// <summary>The broker has hardly any descriptor left.</summary>
    NoDescriptors,
}

/// <summary>What the server ended because the peer did not keep to HTTP/2, or to its limits.</summary>
internal enum BrokenProtocol
{
    /// <summary>A connection that sent neither the preface nor a ticket in time.</summary>
    Silent,

    /// <summary>A connection, for frames that can't be: too long, out of order, headers beyond the limits.</summary>
    Connection,

    /// <summary>A connection whose header blocks can't be decoded.</summary>
    HeaderCompression,

    /// <summary>A connection that began a header block and did not end it in time.</summary>
    HeadersTimeout,

    /// <summary>A call.</summary>
    Stream,

    /// <summary>Each answer that found the connection's queue full: of calls beyond the limit, or that were reset at once. It ends the connection.</summary>
    OutputQueue,

    /// <summary>A connection that went on beginning calls while those that it had reset were still being dropped.</summary>
    RapidReset,
}

/// <summary>Why a call was turned away before its handler saw it.</summary>
internal enum RefusedCall
{
    /// <summary>Its user has as many under way as one may have.</summary>
    UserFull,

    /// <summary>Its message is too large.</summary>
    MessageTooLarge,
}

/// <summary>Which budget had no place for a descriptor.</summary>
internal enum RefusedDescriptor
{
    /// <summary>The connection's.</summary>
    Connection,

    /// <summary>The user's.</summary>
    User,

    /// <summary>That of all.</summary>
    All,
}

/// <summary>Why a ticket got no descriptor.</summary>
internal enum RefusedTicket
{
    /// <summary>No such ticket is remembered: a guess, perhaps.</summary>
    Unknown,

    /// <summary>It is another user's.</summary>
    OfAnotherUser,

    /// <summary>It was redeemed before: a replay, perhaps.</summary>
    Used,

    /// <summary>Nobody came in time.</summary>
    Expired,

    /// <summary>Its lease ended before anybody came.</summary>
    LeaseOver,

    /// <summary>Nothing of that user is looked at for a while.</summary>
    Blocked,

    /// <summary>That was no ticket, or this socket takes none.</summary>
    Malformed,

    /// <summary>The user may have no more that are not redeemed.</summary>
    TooManyUnredeemed,
}

/// <summary>Why a user's connections were read later than they could have been.</summary>
internal enum SlowedRead
{
    /// <summary>What the user's misuse cost is not paid off.</summary>
    Misuse,

    /// <summary>Another connection of the user's had its turn.</summary>
    Turn,
}

/// <summary>What is not refused, and worth a look in numbers.</summary>
internal enum TakenFrame
{
    /// <summary>RST_STREAM: calls that their callers gave up.</summary>
    Reset,
}
