using Google.Protobuf;
using Google.Rpc;
using RpcStatus = Google.Rpc.Status;

namespace BarBroker.Grpc;

/// <summary>The rich half of an error: google.rpc.Status in <c>grpc-status-details-bin</c>.</summary>
public static class ErrorDetails
{
    /// <summary>The metadata key that carries them, by gRPC's convention.</summary>
    public const string Key = "grpc-status-details-bin";

    /// <summary>The ErrorInfo reason of a failed call, such as <c>RANGE_LEASED</c>; null when the server sent none.</summary>
    public static string? GetReason(this RpcException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);

        // Field 1 is called `type` in this version of the package and `reason` ever since; on the wire they are one.
        return Read<ErrorInfo>(exception)?.Type;
    }

    /// <summary>The facts beside the reason; empty when the server sent none.</summary>
    public static IReadOnlyDictionary<string, string> GetReasonMetadata(this RpcException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return Read<ErrorInfo>(exception)?.Metadata is { } metadata ? new Dictionary<string, string>(metadata) : [];
    }

    /// <summary>The fields of the request that INVALID_ARGUMENT is about (google.rpc.BadRequest); empty when the server sent none.</summary>
    public static IReadOnlyList<FieldViolation> GetFieldViolations(this RpcException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return Read<BadRequest>(exception) is { } request
            ? [.. request.FieldViolations.Select(static violation => new FieldViolation(violation.Field, violation.Description))]
            : [];
    }

    private static T? Read<T>(RpcException exception)
        where T : class, IMessage<T>, new()
    {
        if (exception.Trailers.GetValueBytes(Key) is not { } bytes)
        {
            return null;
        }

        try
        {
            foreach (Google.Protobuf.WellKnownTypes.Any detail in RpcStatus.Parser.ParseFrom(bytes).Details)
            {
                if (detail.TryUnpack(out T message))
                {
                    return message;
                }
            }
        }
        catch (InvalidProtocolBufferException)
        {
            // The status itself is good: a broken extra must not hide it.
        }

        return null;
    }
}
