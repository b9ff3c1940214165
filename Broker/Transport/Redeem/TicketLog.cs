namespace BarBroker.Transport.Redeem;

/// <summary>What becomes of tickets, by the number of the connection that the lease belongs to: secrets are never logged. Event ids are stable. What a peer can provoke at will is throttled.</summary>
internal sealed partial class TicketLog(ILogger logger, WarningThrottle throttle)
{
    public void Refused(uint uid, int pid, ulong connectionId, TicketFate fate)
    {
        if (throttle.Passes(123, uid, out long more))
        {
            RefusedLine(uid, pid, connectionId, fate, more);
        }
    }

    public void Blocked(uint uid, int pid, int count, TimeSpan window)
    {
        if (throttle.Passes(124, uid, out long more))
        {
            BlockedLine(uid, pid, count, window, more);
        }
    }

    [LoggerMessage(120, LogLevel.Debug, "Ticket {Ticket} was issued to uid {Uid}, pid {Pid} on connection {ConnectionId}")]
    public partial void Issued(ulong ticket, uint uid, int pid, ulong connectionId);

    [LoggerMessage(121, LogLevel.Information, "Ticket {Ticket} was redeemed by uid {Uid}, pid {Pid} on connection {ConnectionId}")]
    public partial void Redeemed(ulong ticket, uint uid, int pid, ulong connectionId);

    [LoggerMessage(122, LogLevel.Information, "Ticket {Ticket} of uid {Uid}, pid {Pid} expired: nobody redeemed it within {ValidFor}")]
    public partial void Expired(ulong ticket, uint uid, int pid, TimeSpan validFor);

    [LoggerMessage(123, LogLevel.Warning, "A ticket of uid {Uid}, pid {Pid} on connection {ConnectionId} was refused: {Fate} ({More} more of these lines were kept back)")]
    private partial void RefusedLine(uint uid, int pid, ulong connectionId, TicketFate fate, long more);

    [LoggerMessage(124, LogLevel.Warning, "Uid {Uid}, pid {Pid} sent {Count} wrong tickets: none of that user are looked at until {Window} after the first ({More} more of these lines were kept back)")]
    private partial void BlockedLine(uint uid, int pid, int count, TimeSpan window, long more);

    [LoggerMessage(125, LogLevel.Debug, "Connection {ConnectionId} of uid {Uid}, pid {Pid} was answered {Answer}")]
    public partial void Answered(ulong connectionId, uint uid, int pid, RedeemAnswer answer);

    [LoggerMessage(126, LogLevel.Information, "Ticket {Ticket}: connection {ConnectionId} of uid {Uid}, pid {Pid} is over: {Reason}")]
    public partial void Ended(ulong ticket, ulong connectionId, uint uid, int pid, string reason);
}
