namespace BarBroker.Rpc;

/// <summary>The numbers of the gRPC server, each with its reason.</summary>
internal static class GrpcLimits
{
    /// <summary>Two descriptors each (socket and pidfd): far below the unit's LimitNOFILE.</summary>
    internal const int MaxConnections = 1024;

    /// <summary>A quarter of them.</summary>
    internal const int MaxConnectionsPerUser = 256;

    /// <summary>
    /// Connections of one user that have not spoken: all but 32, so that whoever connects and says nothing keeps room for those that do. Not
    /// fewer: on a busy host all processes of one service may start at once, each taking its time between connecting and its first byte.
    /// </summary>
    internal const int MaxSilentPerUser = MaxConnectionsPerUser - 32;

    /// <summary>
    /// Calls of one user under way, on all connections: ten connections' worth. Each costs some kilobytes while it lasts, and its handler may wait
    /// for a device. A client with more to ask waits for answers first.
    /// </summary>
    internal const int MaxCallsPerUser = 1024;

    /// <summary>
    /// Bytes of request bodies that one connection, and one call, may send ahead. Requests are some hundred bytes; Kestrel's own windows
    /// (1 MiB and 768 KiB) would let idle handlers hold that much for each connection.
    /// </summary>
    internal const int ConnectionWindow = 256 * 1024;

    /// <inheritdoc cref="ConnectionWindow"/>
    internal const int StreamWindow = 128 * 1024;

    /// <summary>
    /// Far above what the broker's requests have, and low because a message is held in memory until it is whole: a peer can leave as many
    /// unfinished as it has calls, 100 on each connection. With gRPC's usual 4 MiB that were 400 MiB for each.
    /// </summary>
    internal const int MaxReceiveMessageSize = 16 * 1024;

    /// <summary>gRPC's usual limit for metadata. Headers are held as long as their call lasts, so what was said of messages holds here too.</summary>
    internal const int MaxRequestHeadersSize = 8 * 1024;

    /// <summary>gRPC needs a dozen. Each costs a dictionary's entry, and Kestrel's own limit is 100.</summary>
    internal const int MaxRequestHeaderCount = 64;

    /// <summary>
    /// Bytes of the method, the path and the version in HTTP/1's writing, which Kestrel holds HTTP/2's to as well. The longest path here has some
    /// 60; its own limit is 8 KiB.
    /// </summary>
    internal const int MaxRequestLineSize = 1024;

    /// <summary>How long a header block may take from its first frame to its last: clients send it in one piece. Kestrel's own limit is 30 s.</summary>
    internal static readonly TimeSpan RequestHeadersTimeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A client writes its preface right after connecting. A cold runtime on a busy or emulated machine took more than five seconds for that;
    /// what takes longer than this hangs.
    /// </summary>
    internal static readonly TimeSpan PrefaceTimeout = TimeSpan.FromSeconds(30);

    /// <summary>
    /// For ever. Not <see cref="Timeout.InfiniteTimeSpan"/>: Kestrel adds that to its clock as nanoseconds, which overflows, and closes every
    /// connection that has no call under way at its next heartbeat, within a second.
    /// </summary>
    internal static readonly TimeSpan KeepAliveTimeout = TimeSpan.FromDays(36_500);

    /// <summary>
    /// Descriptors on their way to clients: half of RLIMIT_NOFILE, the kernel's limit for those in flight, which leaves the other half of
    /// the table to connections and devices.
    /// </summary>
    internal static int DescriptorsUnderWay(ulong tableLimit) => (int)Math.Clamp(tableLimit / 2, 1, 65_536);

    /// <summary>A quarter of them: what one user leaves unread costs the others nothing.</summary>
    internal static int DescriptorsUnderWayPerUser(int descriptors) => Math.Max(descriptors / 4, 1);
}
