using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using BarBroker.Grpc;

namespace BarBroker.Tests.Grpc;

/// <summary>HTTP/2 frames of any shape and in any order, as no HTTP library would send them.</summary>
internal sealed class FrameClient : IDisposable
{
    private const byte Headers = 1;
    private const byte ResetStream = 3;
    private const byte Settings = 4;
    private const byte EndHeaders = 4;
    private const uint Cancel = 8;

    private readonly List<byte> _unsent = [];
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <summary>Connects, and says what HTTP/2 says first.</summary>
    internal FrameClient(string socketPath)
    {
        _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        _socket.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);
        AddFrame(Settings, 0, 0, []);
    }

    /// <summary>Begins a call and leaves its request open.</summary>
    internal void AddHeaders(uint stream, string path, params ReadOnlySpan<(string Name, string Value)> more)
    {
        List<byte> block = [];
        foreach ((string name, string value) in (ReadOnlySpan<(string, string)>)
            [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("content-type", GrpcProtocol.ContentType), .. more])
        {
            // RFC 7541, section 6.2.2: a literal without indexing, with a new name.
            block.Add(0);
            AddText(block, name);
            AddText(block, value);
        }

        AddFrame(Headers, EndHeaders, stream, [.. block]);
    }

    internal void Reset(uint stream)
    {
        byte[] code = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(code, Cancel);
        AddFrame(ResetStream, 0, stream, code);
    }

    /// <summary>Sends all frames so far in one piece, as far as the server lets it.</summary>
    internal void Flush()
    {
        try
        {
            _socket.Send(_unsent.ToArray());
        }
        catch (SocketException)
        {
            // The server has had enough.
        }

        _unsent.Clear();
    }

    public void Dispose() => _socket.Dispose();

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

    private void AddFrame(byte type, byte flags, uint stream, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, ((uint)payload.Length << 8) | type);
        frame[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        _unsent.AddRange(frame);
    }
}
