namespace BarBroker.Grpc;

/// <summary>The fixed names of gRPC over HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md), for both ends.</summary>
internal static class GrpcProtocol
{
    internal const string ContentType = "application/grpc";
    internal const string ContentTypeHeader = "content-type";
    internal const string StatusHeader = "grpc-status";
    internal const string MessageHeader = "grpc-message";
    internal const string TimeoutHeader = "grpc-timeout";
    internal const string EncodingHeader = "grpc-encoding";
    internal const string AcceptEncodingHeader = "grpc-accept-encoding";
    internal const string IdentityEncoding = "identity";
    internal const string BinarySuffix = "-bin";

    /// <summary>Content types are <c>application/grpc</c>, alone or followed by <c>+proto</c>, <c>;</c> and the like.</summary>
    internal static bool IsGrpcContentType(string? contentType) =>
        contentType is not null
        && contentType.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == ContentType.Length || contentType[ContentType.Length] is '+' or ';' or ' ');

    /// <summary>Names that gRPC or HTTP keeps for itself: they are no custom metadata.</summary>
    internal static bool IsReserved(string name) =>
        name.StartsWith(':')
        || name.StartsWith("grpc-", StringComparison.OrdinalIgnoreCase)
        || name.Equals(ContentTypeHeader, StringComparison.OrdinalIgnoreCase)
        || name.Equals("te", StringComparison.OrdinalIgnoreCase)
        || name.Equals("host", StringComparison.OrdinalIgnoreCase)
        || name.Equals("user-agent", StringComparison.OrdinalIgnoreCase)
        || name.Equals("content-length", StringComparison.OrdinalIgnoreCase);
}
