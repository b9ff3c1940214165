using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace BarBroker.Tests.Grpc;

/// <summary>HTTP/2's types of frames (RFC 9113, section 6).</summary>
internal enum FrameType : byte
{
    Data = 0,
    Headers = 1,
    Priority = 2,
    ResetStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

/// <summary>One HTTP/2 frame.</summary>
internal sealed record Frame(FrameType Type, byte Flags, uint Stream, byte[] Payload)
{
    internal const byte Ack = 1;
    internal const byte EndStream = 1;
    internal const byte EndHeaders = 4;

    /// <summary>It is the last of its stream in its direction.</summary>
    internal bool EndsStream => Type is FrameType.Data or FrameType.Headers && (Flags & EndStream) != 0;

    /// <summary>Of a RST_STREAM.</summary>
    internal uint ErrorCode => BinaryPrimitives.ReadUInt32BigEndian(Payload);
}

/// <summary>Writes and reads frames, for either end, and knows nothing of what may follow what.</summary>
internal sealed class FrameSocket(Socket socket) : IDisposable
{
    private const int HeaderSize = 9;

    private readonly List<byte> _unsent = [];
    private readonly NetworkStream _stream = new(socket, ownsSocket: true);

    internal void Add(FrameType type, byte flags, uint stream, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[HeaderSize + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, ((uint)payload.Length << 8) | (byte)type);
        frame[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(HeaderSize));
        _unsent.AddRange(frame);
    }

    internal void AddRaw(ReadOnlySpan<byte> bytes) => _unsent.AddRange(bytes);

    internal void AddHeaders(uint stream, byte flags, params ReadOnlySpan<(string Name, string Value)> fields)
    {
        List<byte> block = [];
        foreach ((string name, string value) in fields)
        {
            // RFC 7541, section 6.2.2: a literal without indexing, with a new name.
            block.Add(0);
            AddText(block, name);
            AddText(block, value);
        }

        Add(FrameType.Headers, (byte)(flags | Frame.EndHeaders), stream, [.. block]);
    }

    internal void AddReset(uint stream, uint code)
    {
        byte[] payload = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(payload, code);
        Add(FrameType.ResetStream, 0, stream, payload);
    }

    /// <summary>Sends all frames so far in one piece, as far as the peer lets it.</summary>
    internal void Flush()
    {
        try
        {
            _stream.Socket.Send(_unsent.ToArray());
        }
        catch (SocketException)
        {
            // The peer has had enough.
        }

        _unsent.Clear();
    }

    /// <summary>The next frame; null at the end of the connection, however that came.</summary>
    internal async Task<Frame?> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            byte[] header = new byte[HeaderSize];
            await _stream.ReadExactlyAsync(header, cancellationToken);
            byte[] payload = new byte[BinaryPrimitives.ReadUInt32BigEndian(header) >> 8];
            await _stream.ReadExactlyAsync(payload, cancellationToken);
            return new Frame((FrameType)header[3], header[4], BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(5)), payload);
        }
        catch (IOException)
        {
            return null;
        }
    }

    internal async Task SkipAsync(int bytes, CancellationToken cancellationToken) => await _stream.ReadExactlyAsync(new byte[bytes], cancellationToken);

    public void Dispose() => _stream.Dispose();

    private static void AddText(List<byte> block, string text)
    {
        // RFC 7541, section 5.1: an integer with a prefix of seven bits.
        int rest = text.Length;
        if (rest < 127)
        {
            block.Add((byte)rest);
        }
        else
        {
            block.Add(127);
            for (rest -= 127; rest >= 128; rest >>= 7)
            {
                block.Add((byte)((rest & 127) | 128));
            }

            block.Add((byte)rest);
        }

        block.AddRange(Encoding.ASCII.GetBytes(text));
    }
}
