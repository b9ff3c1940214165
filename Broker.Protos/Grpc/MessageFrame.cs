using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace BarBroker.Grpc;

/// <summary>What the front of a byte stream holds.</summary>
internal enum FrameState
{
    /// <summary>Less than a whole frame.</summary>
    Incomplete,

    /// <summary>A whole message.</summary>
    Message,

    /// <summary>A whole message with the compressed flag set.</summary>
    CompressedMessage,

    /// <summary>A message longer than the limit; known as soon as its header is there.</summary>
    TooLong,

    /// <summary>A flag byte that is neither 0 nor 1: this is no gRPC.</summary>
    InvalidFlag,
}

/// <summary>gRPC's message frames: a flag byte, the length as four bytes big-endian, the message. They do not align with HTTP/2's.</summary>
internal static class MessageFrame
{
    internal const int HeaderSize = 5;

    /// <summary>
    /// Reads one frame from the front of <paramref name="buffer"/> and moves past it, if it is whole. <paramref name="length"/> is what its
    /// header says, 0 as long as there is none.
    /// </summary>
    internal static FrameState TryRead(ref ReadOnlySequence<byte> buffer, int maxLength, out ReadOnlySequence<byte> message, out uint length)
    {
        message = default;
        length = 0;
        if (buffer.Length < HeaderSize)
        {
            return FrameState.Incomplete;
        }

        Span<byte> header = stackalloc byte[HeaderSize];
        buffer.Slice(0, HeaderSize).CopyTo(header);
        length = BinaryPrimitives.ReadUInt32BigEndian(header[1..]);
        if (header[0] > 1)
        {
            return FrameState.InvalidFlag;
        }

        if (length > (uint)maxLength)
        {
            return FrameState.TooLong;
        }

        if (buffer.Length - HeaderSize < length)
        {
            return FrameState.Incomplete;
        }

        message = buffer.Slice(HeaderSize, length);
        buffer = buffer.Slice(message.End);
        return header[0] == 0 ? FrameState.Message : FrameState.CompressedMessage;
    }

    /// <summary>Writes <paramref name="message"/> as one frame.</summary>
    internal static void Write(IBufferWriter<byte> output, IMessage message)
    {
        int length = message.CalculateSize();
        Span<byte> frame = output.GetSpan(HeaderSize + length);
        frame[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(frame[1..], length);
        message.WriteTo(frame.Slice(HeaderSize, length));
        output.Advance(HeaderSize + length);
    }
}
