using System.Net;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>A request of one message.</summary>
internal sealed class MessageContent(IMessage message) : RequestContent
{
    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
        WriteAsync(stream, message, cancellationToken);
}
