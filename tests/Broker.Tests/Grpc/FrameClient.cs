using System.Net.Sockets;
using BarBroker.Grpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>HTTP/2 frames of any shape and in any order, as no HTTP library would send them, and the server's frames as they come.</summary>
internal sealed class FrameClient : IDisposable
{
    internal const uint NoError = 0;
    private const uint Cancel = 8;

    private readonly FrameSocket _frames;

    /// <summary>Connects, and says what HTTP/2 says first.</summary>
    internal FrameClient(string socketPath)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(socketPath));
        _frames = new FrameSocket(socket);
        _frames.AddRaw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);
        _frames.Add(FrameType.Settings, 0, 0, []);
        _frames.Flush();
    }

    /// <summary>Begins a call and leaves its request open.</summary>
    internal void AddHeaders(uint stream, string path, params ReadOnlySpan<(string Name, string Value)> more) => _frames.AddHeaders(
        stream,
        0,
        [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("content-type", GrpcProtocol.ContentType), .. more]);

    internal void AddData(uint stream, ReadOnlySpan<byte> data, bool end) => _frames.Add(FrameType.Data, end ? Frame.EndStream : (byte)0, stream, data);

    /// <summary>A frame of any type.</summary>
    internal void Add(FrameType type, byte flags, uint stream, ReadOnlySpan<byte> payload) => _frames.Add(type, flags, stream, payload);

    internal void AddPing() => _frames.Add(FrameType.Ping, 0, 0, new byte[8]);

    internal void Reset(uint stream) => _frames.AddReset(stream, Cancel);

    /// <summary>Sends all frames so far in one piece, as far as the server lets it.</summary>
    internal void Flush() => _frames.Flush();

    /// <summary>The next frame; null at the end of the connection.</summary>
    internal Task<Frame?> ReadAsync() => _frames.ReadAsync(TestContext.Current.CancellationToken);

    /// <inheritdoc cref="ReadAsync()"/>
    internal Task<Frame?> WaitAsync(CancellationToken cancellationToken) => _frames.ReadAsync(cancellationToken);

    /// <summary>The next frame of that type; others are passed over.</summary>
    internal async Task<Frame> ReadAsync(FrameType type)
    {
        while (await ReadAsync() is { } frame)
        {
            if (frame.Type == type)
            {
                return frame;
            }
        }

        throw new EndOfStreamException($"The connection ended without a frame {type}.");
    }

    public void Dispose() => _frames.Dispose();
}
