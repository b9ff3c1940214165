using BarBroker.Grpc;

namespace BarBroker.Client.Grpc;

/// <summary>What a caller says about one call.</summary>
/// <param name="Deadline">When to give up; null waits for ever.</param>
/// <param name="Headers">Custom metadata to send.</param>
/// <param name="CancellationToken">Gives up early.</param>
internal readonly record struct CallOptions(DateTimeOffset? Deadline = null, Metadata? Headers = null, CancellationToken CancellationToken = default)
{
    /// <summary>Bytes of one response message; a longer one is RESOURCE_EXHAUSTED. Null is gRPC's usual 4 MiB.</summary>
    public int? MaxReceiveMessageSize { get; init; }

    /// <summary>Takes the metadata of the response, for a caller that wants it.</summary>
    public ResponseMetadata? Received { get; init; }
}
