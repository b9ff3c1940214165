namespace BarBroker.Transport.Metering;

/// <summary>How many frames of a kind one connection may send.</summary>
/// <param name="Burst">At once.</param>
/// <param name="PerSecond">For as long as it likes.</param>
/// <param name="BytesPerFrame">One more for each so many bytes that it was sent; 0 for none.</param>
internal readonly record struct FrameLimit(int Burst, int PerSecond, int BytesPerFrame);

/// <summary>
/// The numbers of the frame meter, each with its reason. What Kestrel ends by itself has none: calls beyond the 100 that may be under way,
/// calls that are reset faster than it can drop them, header blocks that are too large, frames that are too long, a second GOAWAY.
/// </summary>
internal static class FrameLimits
{
    /// <summary>Of a frame: RFC 9113, section 4.1.</summary>
    internal const int HeaderSize = 9;

    /// <summary>The prefix of a gRPC message: DATA with less than that is a splinter of one.</summary>
    internal const int MinData = 5;

    /// <summary>Bytes of SETTINGS that count as one frame more: eight settings, more than there are.</summary>
    internal const int SettingsBytesPerFrame = 48;

    /// <summary>CONTINUATION frames in a row. The largest header block that is taken fits into the HEADERS frame itself; some clients split earlier.</summary>
    internal const int ContinuationsInARow = 8;

    /// <summary>
    /// grpc-go pings once per round trip while it receives, which on a Unix socket is one for each answer: so what was sent earns pings, an
    /// answer of the usual 70 bytes more than one. A ping's own answer, 17 bytes, earns a quarter of the next.
    /// </summary>
    private static readonly FrameLimit Ping = new(Burst: 1_000, PerSecond: 100, BytesPerFrame: 64);

    /// <summary>A client sends its settings once. gRPC-core sends a new window with each estimate of the bandwidth, ten times a second at most.</summary>
    private static readonly FrameLimit Settings = new(Burst: 100, PerSecond: 20, BytesPerFrame: 0);

    /// <summary>Some send a handful at the start, or one for each stream, whose answer earns it.</summary>
    private static readonly FrameLimit Priority = new(Burst: 200, PerSecond: 20, BytesPerFrame: 64);

    /// <summary>The least thrifty client gives back each DATA frame's bytes at once, to its stream and to the connection: two frames for the 14 bytes or more of one.</summary>
    private static readonly FrameLimit WindowUpdate = new(Burst: 2_000, PerSecond: 1_000, BytesPerFrame: 7);

    /// <summary>Windows that are nearly used up, and clients that write a message in parts, send some.</summary>
    private static readonly FrameLimit TinyData = new(Burst: 1_000, PerSecond: 200, BytesPerFrame: 64);

    /// <summary>One for each call that a client cancels, or whose deadline passes, even if that is every call: a reset costs no more than its call did.</summary>
    private static readonly FrameLimit Reset = new(Burst: 2_000, PerSecond: 1_000, BytesPerFrame: 64);

    /// <summary>Clients try extensions (RFC 9113, section 5.5) at the start, if at all.</summary>
    private static readonly FrameLimit Other = new(Burst: 100, PerSecond: 10, BytesPerFrame: 0);

    /// <summary>Its bucket, for every kind but <see cref="FrameKind.Continuation"/>.</summary>
    internal static FrameLimit Of(FrameKind kind) => kind switch
    {
        FrameKind.Ping => Ping,
        FrameKind.Settings => Settings,
        FrameKind.Priority => Priority,
        FrameKind.WindowUpdate => WindowUpdate,
        FrameKind.TinyData => TinyData,
        FrameKind.Reset => Reset,
        FrameKind.Other => Other,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "It has no bucket."),
    };

    /// <summary>What is allowed, in words.</summary>
    internal static string Describe(FrameKind kind)
    {
        if (kind == FrameKind.Continuation)
        {
            return $"{ContinuationsInARow} in a row";
        }

        FrameLimit limit = Of(kind);
        string earned = limit.BytesPerFrame == 0 ? string.Empty : $", and one for each {limit.BytesPerFrame} bytes that it is sent";
        return $"{limit.Burst} at once and {limit.PerSecond} per second{earned}";
    }
}
