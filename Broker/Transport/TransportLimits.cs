namespace BarBroker.Transport;

/// <summary>The numbers of the transport, each with its reason.</summary>
internal static class TransportLimits
{
    /// <summary>Connections that wait to be accepted. The kernel caps it at net.core.somaxconn.</summary>
    internal const int Backlog = 512;

    /// <summary>
    /// Descriptors queued for, or unread by, one peer. HTTP/2's 100 calls under way may bring one each; the others are an allowance for the
    /// estimate of what is unread, which a full send buffer of the default size (some 270 messages) puts at 416.
    /// </summary>
    internal const int MaxDescriptorsPerConnection = 512;

    /// <summary>
    /// The least that the kernel charges for one unread message: its sk_buff with skb_shared_info, above 550 bytes on 64-bit kernels
    /// (768 measured). Messages with descriptors are never merged, so SIOCOUTQ divided by this bounds the unread descriptors.
    /// </summary>
    internal const int MinMemoryPerMessage = 512;

    /// <summary>Bytes that a peer may be ahead of Kestrel before it is no longer read.</summary>
    internal const int InputHighWater = 128 * 1024;

    /// <summary>Bytes that Kestrel may be ahead of a slow peer before its writes wait.</summary>
    internal const int OutputHighWater = 64 * 1024;

    /// <summary>What one read asks for.</summary>
    internal const int MinReadSize = 2048;

    /// <summary>
    /// Connections beyond the limits that are still asked what they came for, since one that came for a ticket's descriptor is answered. As
    /// many as a flood may cost in descriptors; those past it are closed unasked.
    /// </summary>
    internal const int MaxTurnedAway = 16;

    /// <summary>How long each of these may take to say so: a redeeming client sends its ticket right after connecting.</summary>
    internal static readonly TimeSpan TurnedAwayTimeout = TimeSpan.FromSeconds(1);

    /// <summary>How long accepting rests when the process has no descriptor left: the waiting peer can't be told anything without one.</summary>
    internal static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);
}
