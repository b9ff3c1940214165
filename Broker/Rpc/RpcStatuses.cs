using BarBroker.Grpc;

namespace BarBroker.Rpc;

/// <summary>The statuses that the server itself gives.</summary>
internal static class RpcStatuses
{
    internal static readonly Status DeadlineExceeded = new(StatusCode.DeadlineExceeded, "The deadline passed before the call was done.");
    internal static readonly Status Cancelled = new(StatusCode.Cancelled, "The call was cancelled.");
    internal static readonly Status Stopping = new(StatusCode.Unavailable, "The server is shutting down.");
    internal static readonly Status HandlerFailed = new(StatusCode.Unknown, "The call failed for a reason that the server logged.");
    internal static readonly Status TimeoutInvalid = new(StatusCode.Internal, "grpc-timeout must be one to eight digits and one of H M S m u n.");
    internal static readonly Status MetadataInvalid = new(StatusCode.Internal, "A -bin header does not hold base64.");
    internal static readonly Status MessageTruncated = new(StatusCode.Internal, "The request ended inside a message.");
    internal static readonly Status MessageMissing = new(StatusCode.Unimplemented, "The method takes exactly one request message; none came.");
    internal static readonly Status MessageExtra = new(StatusCode.Unimplemented, "The method takes exactly one request message; more came.");
    internal static readonly Status MessageInvalid = new(StatusCode.Internal, "The request message could not be parsed.");
    internal static readonly Status FlagInvalid = new(StatusCode.Internal, "A message frame begins with a flag that is neither 0 nor 1.");
    internal static readonly Status CompressedWithoutEncoding =
        new(StatusCode.Internal, "A message is marked as compressed, but grpc-encoding names no compression.");
}
