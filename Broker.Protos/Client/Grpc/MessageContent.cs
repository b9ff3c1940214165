using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>One message as the body of a request.</summary>
internal sealed class MessageContent : HttpContent
{
    private static readonly MediaTypeHeaderValue GrpcType = new(GrpcProtocol.ContentType);

    private readonly IMessage _message;

    internal MessageContent(IMessage message)
    {
        _message = message;
        Headers.ContentType = GrpcType;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        int length = _message.CalculateSize();
        byte[] frame = ArrayPool<byte>.Shared.Rent(MessageFrame.HeaderSize + length);
        try
        {
            frame[0] = 0;
            BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), length);
            _message.WriteTo(frame.AsSpan(MessageFrame.HeaderSize, length));
            await stream.WriteAsync(frame.AsMemory(0, MessageFrame.HeaderSize + length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(frame);
        }
    }

    /// <summary>gRPC requests carry no content-length.</summary>
    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
