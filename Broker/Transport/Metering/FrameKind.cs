namespace BarBroker.Transport.Metering;

/// <summary>Frames that cost the server work and that nothing else limits: each kind has a bucket of its own (<see cref="FrameLimits"/>).</summary>
internal enum FrameKind
{
    /// <summary>PING, and answers to pings that nobody sent.</summary>
    Ping,

    /// <summary>SETTINGS, and their acknowledgements.</summary>
    Settings,

    /// <summary>PRIORITY, which RFC 9113 has deprecated.</summary>
    Priority,

    /// <summary>WINDOW_UPDATE.</summary>
    WindowUpdate,

    /// <summary>DATA with less than a message's prefix, or padded.</summary>
    TinyData,

    /// <summary>RST_STREAM.</summary>
    Reset,

    /// <summary>A type that HTTP/2 does not know, or that a client has no use for.</summary>
    Other,

    /// <summary>CONTINUATION, in a row.</summary>
    Continuation,
}
