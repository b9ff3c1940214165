namespace BarBroker.Transport.Pacing;

/// <summary>
/// What one user may cost, and what things cost, in microseconds of a processor. Only what no client needs, or needs now and then, has a price:
/// calls that are made and answered have none. Prices are what was measured on slow machines, rounded up, unless a comment says otherwise.
/// </summary>
internal static class PaceLimits
{
    /// <summary>
    /// At once: that many processes of one service may connect together, give up half of what they begin, and not be slowed down (64 of them that
    /// make two dozen leases and cancel ten calls each cost half of this). For ever: less of a processor than anybody misses.
    /// </summary>
    internal static readonly PaceLimit OfUser = new(BurstMicroseconds: 30_000, MicrosecondsPerSecond: 20_000);

    /// <summary>What a user can owe at most, beyond the burst: a second of standing still. Another process of that user may be without a fault.</summary>
    internal const int MostOwed = 20_000;

    /// <summary>From this part of the burst on the connections of a user are read one after another, and little at a time.</summary>
    internal const int TurnsFromPart = 10;

    /// <summary>
    /// The same from so many calls of a user under way. They are begun faster than they can be answered then, and whoever comes next waits for as
    /// many of them as were read at once.
    /// </summary>
    internal const int TurnsFromCalls = 64;

    /// <summary>What is read in one turn: a hundred of the smallest frames, ten calls. Long messages take more turns, not longer ones.</summary>
    internal const int BytesPerTurn = 1024;

    /// <summary>
    /// Connections of a user who is slowed down that may wait for their turn. To take one, and to find out that it has left, costs more than to
    /// refuse it: who connects on and on would not be slowed down at all.
    /// </summary>
    internal const int MostWaiting = 32;

    /// <summary>A turn of a user who is slowed down: so that even reads that bring nothing bad come no faster than 200 in a second.</summary>
    internal const int Turn = 100;

    /// <summary>
    /// How often it is looked whether those who wait have left: each holds a place among all connections until then. With <see cref="MostWaiting"/>
    /// that is also how fast one who connects and leaves is let in: 320 in a second. With 10 ms they cost half a processor.
    /// </summary>
    internal static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);

    /// <summary>How often an arrival goes through the pool: to the server, to its connection's loops, and to HTTP/2.</summary>
    internal const int StagesOfArrival = 4;

    /// <summary>To take a connection, and to end it.</summary>
    internal const int Arrival = 100;

    /// <summary>A connection that is ended for what it sent: several times what it costs, since nobody who means well has many of them.</summary>
    internal const int Offence = 5_000;

    /// <summary>A frame that the frame meter counts, save for what the client was sent (<see cref="BytesPerFrame"/>).</summary>
    internal const int Frame = 2;

    /// <summary>Bytes sent to the client that pay for one frame: every answer brings about a window update, and a ping of some clients.</summary>
    internal const int BytesPerFrame = 32;

    /// <summary>RST_STREAM. Less than it costs: to give up a call is anybody's right.</summary>
    internal const int Reset = 10;

    /// <summary>RST_STREAM that was received right behind a call's begin, as rapid resets are: what it costs.</summary>
    internal const int RapidReset = 100;

    /// <summary>A call that is under way when its connection ends unwinds with exceptions.</summary>
    internal const int DroppedCall = 100;

    /// <summary>A stream that Kestrel refuses, with an exception.</summary>
    internal const int RefusedStream = 50;

    /// <summary>A call that is refused because there are too many, or its message or its descriptor is one too many.</summary>
    internal const int RefusedCall = 50;

    /// <summary>A ticket that is none.</summary>
    internal const int WrongTicket = 200;
}
