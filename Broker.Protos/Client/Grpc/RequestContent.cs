using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>Messages as the body of a request.</summary>
internal abstract class RequestContent : HttpContent
{
    private static readonly MediaTypeHeaderValue GrpcType = new(GrpcProtocol.ContentType);

    protected RequestContent()
    {
        Headers.ContentType = GrpcType;
    }

    protected sealed override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    /// <summary>Returning ends the request.</summary>
    protected abstract override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken);

    /// <summary>gRPC requests carry no content-length.</summary>
    protected sealed override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }

    /// <summary>Writes one message; completes when the server had room for it.</summary>
    protected static async Task WriteAsync(Stream stream, IMessage message, CancellationToken cancellationToken)
    {
        int length = message.CalculateSize();
        byte[] frame = ArrayPool<byte>.Shared.Rent(MessageFrame.HeaderSize + length);
        try
        {
            frame[0] = 0;
            BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), length);
            message.WriteTo(frame.AsSpan(MessageFrame.HeaderSize, length));
            await stream.WriteAsync(frame.AsMemory(0, MessageFrame.HeaderSize + length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(frame);
        }
    }
}
