namespace BarBroker.Rpc;

/// <summary>What the gRPC server logs. Event ids are stable.</summary>
internal sealed partial class RpcLog(ILogger logger)
{
    [LoggerMessage(200, LogLevel.Information, "Serving gRPC on {Path}")]
    public partial void Serving(string path);

    [LoggerMessage(201, LogLevel.Debug, "{Method} on connection {ConnectionId} ended with {Status}: {Detail}")]
    public partial void CallEnded(string method, ulong connectionId, Grpc.StatusCode status, string detail);

    [LoggerMessage(202, LogLevel.Error, "{Method} on connection {ConnectionId} threw")]
    public partial void HandlerFailed(Exception exception, string method, ulong connectionId);

    [LoggerMessage(203, LogLevel.Debug, "{Method} on connection {ConnectionId} passed its deadline")]
    public partial void DeadlineExceeded(string method, ulong connectionId);

    [LoggerMessage(204, LogLevel.Warning, "A call was reset: {Reason}. Some gRPC libraries send a socket's path as :authority; the client must set the authority to localhost (grpc.default_authority)")]
    public partial void AuthorityRejected(string reason);
}
