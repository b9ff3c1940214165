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
    public static RpcException Create(StatusCode code, string message, string reason, params ReadOnlySpan<(string Key, string Value)> metadata) =>
        Build(code, message, CreateInfo(reason, metadata));

    /// <summary>INVALID_ARGUMENT, with a google.rpc.BadRequest that names the fields to correct beside the ErrorInfo.</summary>
    /// <param name="message">What was wrong and what would be right; it describes each of the fields.</param>
    /// <param name="reason">The ErrorInfo reason, in UPPER_SNAKE_CASE, as the .proto names it.</param>
    /// <param name="fields">Their paths from the request, in the names of the .proto: <c>ranges.ranges[1].offset</c>. A oneof without a value is its own name.</param>
    public static RpcException CreateBadRequest(string message, string reason, params ReadOnlySpan<string> fields)
    {
        BadRequest violations = new();
        foreach (string field in fields)
        {
            violations.FieldViolations.Add(new BadRequest.Types.FieldViolation { Field = field, Description = message });
        }

        return Build(StatusCode.InvalidArgument, message, CreateInfo(reason), violations);
    }

    private static ErrorInfo CreateInfo(string reason, params ReadOnlySpan<(string Key, string Value)> metadata)
    {
        // Field 1 is called `type` in this version of the package and `reason` ever since; on the wire they are one.
        ErrorInfo info = new() { Domain = Domain, Type = reason };
        foreach ((string key, string value) in metadata)
        {
            info.Metadata[key] = value;
        }

        return info;
    }

    private static RpcException Build(StatusCode code, string message, params ReadOnlySpan<IMessage> details)
    {
        RpcStatus status = new() { Code = (int)code, Message = message };
        foreach (IMessage detail in details)
        {
            status.Details.Add(Any.Pack(detail));
        }

        return new RpcException(new BarBroker.Grpc.Status(code, message), new Metadata { { ErrorDetails.Key, status.ToByteArray() } });
    }
}
