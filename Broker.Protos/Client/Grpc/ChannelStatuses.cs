using System.Net;
using BarBroker.Grpc;

namespace BarBroker.Client.Grpc;

/// <summary>The statuses that the client itself gives, and the mappings of gRPC's HTTP/2 protocol.</summary>
internal static class ChannelStatuses
{
    internal static readonly Status DeadlineExceeded = new(StatusCode.DeadlineExceeded, "The deadline passed before the broker answered.");
    internal static readonly Status Cancelled = new(StatusCode.Cancelled, "The call was cancelled.");
    internal static readonly Status StatusMissing = new(StatusCode.Unknown, "The server ended the call without a gRPC status.");
    internal static readonly Status ResponseMissing = new(StatusCode.Unimplemented, "The server ended the call without the one response that it must have.");
    internal static readonly Status ResponseExtra = new(StatusCode.Unimplemented, "The server sent more than the one response that the call has.");
    internal static readonly Status ResponseTruncated = new(StatusCode.Internal, "The response ended inside a message.");
    internal static readonly Status ResponseInvalid = new(StatusCode.Internal, "The response message could not be parsed.");
    internal static readonly Status FrameInvalid = new(StatusCode.Internal, "The response is no gRPC message: its flag byte is neither 0 nor 1, or names a compression.");

    internal static readonly Status ConnectionOver = new(
        StatusCode.Unavailable, "The connection to the broker is over, and with it every lease that was taken on it. Connect again.");

    /// <summary>HTTP/2 has no words for a connection before its first frame: the broker can only close it.</summary>
    internal static readonly Status NotTaken = new(
        StatusCode.Unavailable,
        "The broker closed the connection before it said anything: it has as many connections as it takes, in all or of one user, or it is stopping. Close some that are not needed, or try later; the broker's log says which it was.");

    internal static RpcException ConnectionLost(Exception? innerException = null) => new(ConnectionOver, innerException: innerException);

    /// <summary>What an HTTP status means when no gRPC status came with it (grpc/grpc, doc/http-grpc-status-mapping.md).</summary>
    internal static StatusCode FromHttp(HttpStatusCode http) => http switch
    {
        HttpStatusCode.BadRequest or HttpStatusCode.RequestHeaderFieldsTooLarge => StatusCode.Internal,
        HttpStatusCode.Unauthorized => StatusCode.Unauthenticated,
        HttpStatusCode.Forbidden => StatusCode.PermissionDenied,
        HttpStatusCode.NotFound => StatusCode.Unimplemented,
        HttpStatusCode.TooManyRequests or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout
            => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };

    /// <summary>What an RST_STREAM code means (grpc/grpc, doc/PROTOCOL-HTTP2.md, "Errors").</summary>
    internal static StatusCode FromReset(long errorCode) => errorCode switch
    {
        7 => StatusCode.Unavailable, // REFUSED_STREAM
        8 => StatusCode.Cancelled, // CANCEL
        11 => StatusCode.ResourceExhausted, // ENHANCE_YOUR_CALM
        12 => StatusCode.PermissionDenied, // INADEQUATE_SECURITY
        _ => StatusCode.Internal,
    };
}
