using System.Buffers.Binary;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport.Metering;

/// <summary>What a connection ends with that sent too many frames of a kind.</summary>
internal sealed class Farewell(FrameKind kind)
{
    private const byte GoAway = 7;
    private const uint EnhanceYourCalm = 11;

    /// <summary>Whatever began may have been processed.</summary>
    private const uint LastStream = int.MaxValue;

    internal ConnectionAbortedException Reason { get; } = new($"The peer sent too many {kind} frames; allowed are {FrameLimits.Describe(kind)}.");

    /// <summary>GOAWAY (RFC 9113, section 6.8), with the reason in words for those who look.</summary>
    internal byte[] ToFrame()
    {
        byte[] text = Encoding.ASCII.GetBytes(Reason.Message);
        byte[] frame = new byte[FrameLimits.HeaderSize + 8 + text.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, ((uint)(8 + text.Length) << 8) | GoAway);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(9), LastStream);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(13), EnhanceYourCalm);
        text.CopyTo(frame.AsSpan(17));
        return frame;
    }
}
