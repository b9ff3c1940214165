using BarBroker.Transport.Metering;

namespace BarBroker.Transport;

/// <summary>What the transport logs. Event ids are stable. What a peer can provoke at will is throttled, by kind and user.</summary>
internal sealed partial class TransportLog(ILogger logger, WarningThrottle throttle)
{
    public void TooManyConnections(string path, uint uid, int limit)
    {
        if (throttle.Passes(103, uid, out long more))
        {
            TooManyConnectionsLine(path, uid, limit, more);
        }
    }

    public void TooManyConnectionsOfUser(string path, uint uid, int limit)
    {
        if (throttle.Passes(109, uid, out long more))
        {
            TooManyConnectionsOfUserLine(path, uid, limit, more);
        }
    }

    public void TooManySilentOfUser(string path, uint uid, int limit)
    {
        if (throttle.Passes(110, uid, out long more))
        {
            TooManySilentOfUserLine(path, uid, limit, more);
        }
    }

    public void Blocked(string path, uint uid, int pid, int count, TimeSpan window)
    {
        if (throttle.Passes(112, uid, out long more))
        {
            BlockedLine(path, uid, pid, count, window, more);
        }
    }

    public void TooOften(string path, uint uid, int count, TimeSpan window)
    {
        if (throttle.Passes(113, uid, out long more))
        {
            TooOftenLine(path, uid, count, window, more);
        }
    }

    public void PeerUnknown(Exception exception, string path)
    {
        if (throttle.Passes(104, null, out long more))
        {
            PeerUnknownLine(exception, path, more);
        }
    }

    public void NoDescriptors(string path)
    {
        if (throttle.Passes(116, null, out long more))
        {
            NoDescriptorsLine(path, more);
        }
    }

    public void Silent(ulong connectionId, uint uid, int pid, TimeSpan timeout)
    {
        if (throttle.Passes(105, uid, out long more))
        {
            SilentLine(connectionId, uid, pid, timeout, more);
        }
    }

    public void DroppedCalls(string path, uint uid, int count, TimeSpan window)
    {
        if (throttle.Passes(114, uid, out long more))
        {
            DroppedCallsLine(path, uid, count, window, more);
        }
    }

    public void Slowed(string path, uint uid, int limit)
    {
        if (throttle.Passes(115, uid, out long more))
        {
            SlowedLine(path, uid, limit, more);
        }
    }

    public void Flood(ulong connectionId, uint uid, int pid, FrameKind kind)
    {
        if (throttle.Passes(111, uid, out long more))
        {
            FloodLine(connectionId, uid, pid, kind, FrameLimits.Describe(kind), more);
        }
    }

    [LoggerMessage(100, LogLevel.Debug, "Connection {ConnectionId} on {Path}: uid {Uid}, gid {Gid}, pid {Pid}")]
    public partial void Accepted(ulong connectionId, string path, uint uid, uint gid, int pid);

    [LoggerMessage(101, LogLevel.Debug, "Connection {ConnectionId} ended: {Reason}")]
    public partial void Ended(ulong connectionId, string reason);

    [LoggerMessage(102, LogLevel.Warning, "No connection could be accepted on {Path}")]
    public partial void AcceptFailed(Exception exception, string path);

    [LoggerMessage(106, LogLevel.Error, "Connection {ConnectionId} was closed: the kernel takes no more descriptors in flight from this user (RLIMIT_NOFILE). Raise LimitNOFILE")]
    public partial void TooManyInFlight(Exception exception, ulong connectionId);

    [LoggerMessage(107, LogLevel.Debug, "Connection {ConnectionId} ended with {Count} descriptors unread by uid {Uid}, pid {Pid}")]
    public partial void LeftUnread(ulong connectionId, int count, uint uid, int pid);

    [LoggerMessage(108, LogLevel.Error, "Connection {ConnectionId} failed unexpectedly")]
    public partial void Failed(Exception exception, ulong connectionId);

    [LoggerMessage(103, LogLevel.Warning, "A connection of uid {Uid} on {Path} was refused: all {Limit} are in use ({More} more of these lines were kept back)")]
    private partial void TooManyConnectionsLine(string path, uint uid, int limit, long more);

    [LoggerMessage(104, LogLevel.Warning, "A connection on {Path} was refused: the kernel does not say who made it ({More} more of these lines were kept back)")]
    private partial void PeerUnknownLine(Exception exception, string path, long more);

    [LoggerMessage(105, LogLevel.Warning, "Connection {ConnectionId} of uid {Uid}, pid {Pid} was closed: it sent neither the HTTP/2 preface nor a whole ticket within {Timeout} ({More} more of these lines were kept back)")]
    private partial void SilentLine(ulong connectionId, uint uid, int pid, TimeSpan timeout, long more);

    [LoggerMessage(109, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} has {Limit} already ({More} more of these lines were kept back)")]
    private partial void TooManyConnectionsOfUserLine(string path, uint uid, int limit, long more);

    [LoggerMessage(110, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} has {Limit} already that have not said a word ({More} more of these lines were kept back)")]
    private partial void TooManySilentOfUserLine(string path, uint uid, int limit, long more);

    [LoggerMessage(112, LogLevel.Warning, "Connections of uid {Uid} on {Path} are refused until {Window} after the first of {Count} that were ended for what they sent, the last by pid {Pid} ({More} more of these lines were kept back)")]
    private partial void BlockedLine(string path, uint uid, int pid, int count, TimeSpan window, long more);

    [LoggerMessage(113, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} made {Count} within {Window} ({More} more of these lines were kept back)")]
    private partial void TooOftenLine(string path, uint uid, int count, TimeSpan window, long more);

    [LoggerMessage(114, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} left {Count} calls under way when their connections ended, within {Window} ({More} more of these lines were kept back)")]
    private partial void DroppedCallsLine(string path, uint uid, int count, TimeSpan window, long more);

    [LoggerMessage(115, LogLevel.Warning, "A connection on {Path} was refused: uid {Uid} is slowed down for what its frames, resets and dropped calls cost, and {Limit} connections wait already ({More} more of these lines were kept back)")]
    private partial void SlowedLine(string path, uint uid, int limit, long more);

    [LoggerMessage(111, LogLevel.Warning, "Connection {ConnectionId} of uid {Uid}, pid {Pid} was closed: it sent too many {Kind} frames; allowed are {Allowed} ({More} more of these lines were kept back)")]
    private partial void FloodLine(ulong connectionId, uint uid, int pid, FrameKind kind, string allowed, long more);

    [LoggerMessage(116, LogLevel.Warning, "A connection on {Path} was refused: hardly any descriptor is left to this process. Raise LimitNOFILE ({More} more of these lines were kept back)")]
    private partial void NoDescriptorsLine(string path, long more);
}
