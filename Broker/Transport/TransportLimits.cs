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

    /// <summary>
    /// Connections of one user that were ended for a flood, or for what is no HTTP/2, in a <see cref="OffenceWindow"/>: then no other is taken of
    /// that user for the rest of it. Each connection has its own bursts, so one who connects again and again would have no limit at all.
    /// </summary>
    internal const int OffencesPerWindow = 16;

    /// <summary>
    /// Connections of one user that are taken in an <see cref="ArrivalWindow"/>. Making one costs more than any call on it, and so does ending one
    /// with its calls; the limit of those at a time does not see who connects and leaves without rest. A hundred in a second, for as long as it likes,
    /// is more than a user has who fetches every lease with a ticket.
    /// </summary>
    internal const int ArrivalsPerWindow = 1024;

    /// <summary>
    /// Calls of one user that were under way when their connection ended, in a <see cref="DroppedCallWindow"/>: then no other is taken of that user
    /// for the rest of it. Each unwinds with exceptions, for some 100 us, on the threads that serve everybody: who makes calls only to drop them
    /// would keep all of them busy. Twice what a user may have under way, so that a service that is killed with all of it can begin anew.
    /// </summary>
    internal const int DroppedCallsPerWindow = 2048;

    /// <summary>
    /// Refused connections after which accepting rests for as long as they took: a process that connects in a loop would otherwise get a whole
    /// processor of the broker's for being refused. Whoever else connects meanwhile waits behind a full <see cref="Backlog"/>: so it is to be worked off
    /// at half speed, which takes some 30 ms, and not at the speed of timers. Each rest is a timer's grain too long: so there are few.
    /// </summary>
    internal const int RefusalsPerPause = 64;

    /// <summary>How long each of these may take to say so: a redeeming client sends its ticket right after connecting.</summary>
    internal static readonly TimeSpan TurnedAwayTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Begins with a user's first. Short, since other processes of that user may be without a fault.</summary>
    internal static readonly TimeSpan OffenceWindow = TimeSpan.FromSeconds(10);

    /// <summary>The least that timers can do.</summary>
    internal static readonly TimeSpan LeastRefusalPause = TimeSpan.FromMilliseconds(1);

    /// <summary>Refusals that come now and then took as long as they like: they are no flood.</summary>
    internal static readonly TimeSpan MostRefusalPause = TimeSpan.FromMilliseconds(10);

    /// <summary>Begins with a user's first.</summary>
    internal static readonly TimeSpan ArrivalWindow = TimeSpan.FromSeconds(10);

    /// <summary>Begins with a user's first.</summary>
    internal static readonly TimeSpan DroppedCallWindow = TimeSpan.FromSeconds(10);

    /// <summary>How long a peer that flooded may take to make room for being told so.</summary>
    internal static readonly TimeSpan FarewellTimeout = TimeSpan.FromSeconds(1);

    /// <summary>How long accepting rests when the process has no descriptor left: the waiting peer can't be told anything without one.</summary>
    internal static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);
}
