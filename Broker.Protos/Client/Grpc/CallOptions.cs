using BarBroker.Grpc;

namespace BarBroker.Client.Grpc;

/// <summary>What a caller says about one call.</summary>
/// <param name="Deadline">When to give up; null waits for ever.</param>
/// <param name="Headers">Custom metadata to send.</param>
/// <param name="CancellationToken">Gives up early.</param>
/// <param name="MaxReceiveMessageSize">Bytes of one response message; a longer one is RESOURCE_EXHAUSTED. Null is gRPC's usual 4 MiB.</param>
/// <param name="Received">Takes the metadata of the response, for a caller that wants it.</param>
internal readonly record struct CallOptions(
    DateTimeOffset? Deadline = null,
    Metadata? Headers = null,
    CancellationToken CancellationToken = default,
    int? MaxReceiveMessageSize = null,
    ResponseMetadata? Received = null);
