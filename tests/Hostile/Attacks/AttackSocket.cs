using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace BarBroker.Hostile.Attacks;

/// <summary>A connection without manners: sends any bytes, gives up on a peer that does not read, and notices its end.</summary>
internal sealed class AttackSocket : IDisposable
{
    internal const byte EndStream = 1;
    internal const byte EndHeaders = 4;
    internal const byte Headers = 1;
    internal const byte Reset = 3;
    internal const byte Settings = 4;

    /// <summary>The broker may stop reading: enough to see that it has.</summary>
    private const int PatienceMilliseconds = 50;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
    {
        SendTimeout = PatienceMilliseconds,
        ReceiveTimeout = PatienceMilliseconds,
    };

    private static bool WasRefused;

    private readonly byte[] _received = new byte[64 * 1024];
    private bool _wasAnswered;
    private bool _isOver;

    /// <summary>The broker ended the connection, or did not take it.</summary>
    internal bool IsOver
    {
        get => _isOver;
        private set
        {
            // What the broker said before it closed is still there to be read.
            if (value && !_isOver && !_wasAnswered && _socket.Available == 0)
            {
                WasRefused = true;
            }

            _isOver |= value;
        }
    }

    /// <summary>Whether a connection was closed without a word since this was asked last.</summary>
    internal static bool TakeRefused()
    {
        bool was = WasRefused;
        WasRefused = false;
        return was;
    }

    internal static AttackSocket Connect(string path)
    {
        AttackSocket socket = new();
        socket.Try(() => socket._socket.Connect(new UnixDomainSocketEndPoint(path)));
        return socket;
    }

    /// <summary>Connects, and says what HTTP/2 says first.</summary>
    internal static AttackSocket Open(string path)
    {
        AttackSocket socket = Connect(path);
        socket.Send([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(Settings, 0, 0, [])]);
        return socket;
    }

    /// <summary>One HTTP/2 frame.</summary>
    internal static byte[] Frame(byte type, byte flags, uint stream, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, ((uint)payload.Length << 8) | type);
        frame[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        return frame;
    }

    /// <summary>The headers of a call, as literals without indexing (RFC 7541, section 6.2.2).</summary>
    internal static byte[] HeaderBlock(string path)
    {
        // Names that the static table has: POST, http; then :path and :authority by their indices; content-type by its own.
        return [0x83, 0x86, 0x04, (byte)path.Length, .. Encoding.ASCII.GetBytes(path), 0x01, 9, .. "localhost"u8, 0x0f, 0x10, 16, .. "application/grpc"u8];
    }

    /// <summary>A whole call with one message.</summary>
    internal static byte[] Call(uint stream, string path, ReadOnlySpan<byte> message)
    {
        byte[] prefix = new byte[5];
        BinaryPrimitives.WriteUInt32BigEndian(prefix.AsSpan(1), (uint)message.Length);
        return [.. Frame(Headers, EndHeaders, stream, HeaderBlock(path)), .. Frame(0, EndStream, stream, [.. prefix, .. message])];
    }

    internal void Send(ReadOnlySpan<byte> bytes)
    {
        while (!IsOver && !bytes.IsEmpty)
        {
            try
            {
                bytes = bytes[_socket.Send(bytes)..];
            }
            catch (SocketException exception)
            {
                IsOver = exception.SocketErrorCode is not (SocketError.TimedOut or SocketError.WouldBlock);
                return;
            }
        }
    }

    /// <summary>How much the broker sent that was not read.</summary>
    internal int Unread => IsOver ? 0 : _socket.Available;

    /// <summary>Waits for something to read, though not for long.</summary>
    internal void Await() => Try(() => _socket.Poll(PatienceMilliseconds * 1000, SelectMode.SelectRead));

    /// <summary>Reads what is there.</summary>
    internal void Drain()
    {
        while (!IsOver && _socket.Available > 0)
        {
            Receive();
        }
    }

    /// <summary>Reads until the end, or until nothing comes for a moment.</summary>
    /// <returns>The last byte that came; null for none.</returns>
    internal byte? DrainToEnd()
    {
        byte? last = null;
        while (!IsOver && Receive() is { } received)
        {
            last = received;
        }

        return last;
    }

    /// <summary>Says that nothing more comes.</summary>
    internal void HalfClose() => Try(() => _socket.Shutdown(SocketShutdown.Send));

    public void Dispose() => _socket.Dispose();

    private byte? Receive()
    {
        int received = 0;
        bool worked = Try(() => received = _socket.Receive(_received));
        _wasAnswered |= received > 0;
        IsOver |= worked && received == 0;
        return received > 0 ? _received[received - 1] : null;
    }

    private bool Try(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (SocketException exception)
        {
            IsOver |= exception.SocketErrorCode is not (SocketError.TimedOut or SocketError.WouldBlock);
            return false;
        }
    }
}
