using BarBroker.Grpc;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using RpcStatus = Google.Rpc.Status;

namespace BarBroker.Rpc;

/// <summary>Builds the errors of this project's own services: a sentence for people, and an ErrorInfo for programs.</summary>
public static class RpcErrors
{
    /// <summary>The domain of every ErrorInfo: reasons are unique inside it.</summary>
    public const string Domain = "barbroker.v1";

    /// <summary>An exception that ends a call.</summary>
    /// <param name="code">The canonical code; not OK.</param>
    /// <param name="message">What was wrong and what would be right. The caller reads it: nothing of the policy may stand in it.</param>
    /// <param name="reason">The ErrorInfo reason, in UPPER_SNAKE_CASE, as the .proto names it.</param>
    /// <param name="metadata">Facts that belong to the reason.</param>
    public static RpcException Create(StatusCode code, string message, string reason, params ReadOnlySpan<(string Key, string Value)> metadata)
    {
        // Field 1 is called `type` in this version of the package and `reason` ever since; on the wire they are one.
        ErrorInfo info = new() { Domain = Domain, Type = reason };
        foreach ((string key, string value) in metadata)
        {
            info.Metadata[key] = value;
        }

        RpcStatus details = new() { Code = (int)code, Message = message, Details = { Any.Pack(info) } };
        return new RpcException(new BarBroker.Grpc.Status(code, message), new Metadata { { ErrorDetails.Key, details.ToByteArray() } });
    }
}
