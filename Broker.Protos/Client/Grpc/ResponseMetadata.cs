using BarBroker.Grpc;

namespace BarBroker.Client.Grpc;

/// <summary>What a server says beside its messages. A caller passes one with each call that it wants to know of.</summary>
internal sealed class ResponseMetadata
{
    /// <summary>What came before the first message: set once a message was read, or the end. Empty when the answer was a status alone.</summary>
    public Metadata Headers { get; internal set; } = [];

    /// <summary>What came with the status, OK or not: set once the call has ended.</summary>
    public Metadata Trailers { get; internal set; } = [];
}
