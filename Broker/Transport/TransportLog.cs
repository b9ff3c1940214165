namespace BarBroker.Transport;

/// <summary>What the transport logs. Event ids are stable.</summary>
internal sealed partial class TransportLog(ILogger logger)
{
    [LoggerMessage(100, LogLevel.Debug, "Connection {ConnectionId} on {Path}: uid {Uid}, gid {Gid}, pid {Pid}")]
    public partial void Accepted(ulong connectionId, string path, uint uid, uint gid, int pid);

    [LoggerMessage(101, LogLevel.Debug, "Connection {ConnectionId} ended: {Reason}")]
    public partial void Ended(ulong connectionId, string reason);

    [LoggerMessage(102, LogLevel.Warning, "No connection could be accepted on {Path}")]
    public partial void AcceptFailed(Exception exception, string path);

    [LoggerMessage(103, LogLevel.Warning, "A connection on {Path} was refused: all {Limit} are in use")]
    public partial void TooManyConnections(string path, int limit);

    [LoggerMessage(104, LogLevel.Warning, "A connection on {Path} was refused: the kernel does not say who made it")]
    public partial void PeerUnknown(Exception exception, string path);

    [LoggerMessage(105, LogLevel.Warning, "Connection {ConnectionId} of uid {Uid}, pid {Pid} was closed: it sent neither the HTTP/2 preface nor a whole ticket within {Timeout}")]
    public partial void Silent(ulong connectionId, uint uid, int pid, TimeSpan timeout);

    [LoggerMessage(106, LogLevel.Error, "Connection {ConnectionId} was closed: the kernel takes no more descriptors in flight from this user (RLIMIT_NOFILE). Raise LimitNOFILE")]
    public partial void TooManyInFlight(Exception exception, ulong connectionId);

    [LoggerMessage(107, LogLevel.Debug, "Connection {ConnectionId} ended with {Count} descriptors unread by uid {Uid}, pid {Pid}")]
    public partial void LeftUnread(ulong connectionId, int count, uint uid, int pid);

    [LoggerMessage(109, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} has {Limit} already")]
    public partial void TooManyConnectionsOfUser(string path, uint uid, int limit);

    [LoggerMessage(108, LogLevel.Error, "Connection {ConnectionId} failed unexpectedly")]
    public partial void Failed(Exception exception, ulong connectionId);
}
