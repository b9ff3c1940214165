using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>A server of one connection that answers calls with frames of the test's choice, as no gRPC server would.</summary>
internal sealed class FrameServer : IAsyncDisposable
{
    private const int PrefaceLength = 24;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-frames-");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Action<FrameSocket, uint> _answer;
    private readonly Action<FrameSocket, uint>? _onData;
    private readonly Task _serving;

    /// <param name="answer">Gets the stream of each call when its headers are there.</param>
    /// <param name="onData">Gets the stream of each DATA frame after the first call, which is the channel's own.</param>
    internal FrameServer(Action<FrameSocket, uint> answer, Action<FrameSocket, uint>? onData = null)
    {
        _answer = answer;
        _onData = onData;
        SocketPath = Path.Combine(_directory.FullName, "test.sock");
        _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        _listener.Listen();
        _serving = ServeAsync(TestContext.Current.CancellationToken);
    }

    internal string SocketPath { get; }

    internal Task<UnixGrpcChannel> ConnectAsync() => UnixGrpcChannel.ConnectAsync(SocketPath, TestContext.Current.CancellationToken);

    /// <summary>A status and nothing else.</summary>
    internal static void AddStatus(FrameSocket frames, uint stream, StatusCode code) => frames.AddHeaders(
        stream,
        Frame.EndStream,
        (":status", "200"),
        (GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType),
        (GrpcProtocol.StatusHeader, ((int)code).ToString(System.Globalization.CultureInfo.InvariantCulture)));

    /// <summary>Dispose the channel first: its end is the server's.</summary>
    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _serving;
        _directory.Delete(recursive: true);
    }

    private async Task ServeAsync(CancellationToken cancellationToken)
    {
        using FrameSocket frames = new(await _listener.AcceptAsync(cancellationToken));
        await frames.SkipAsync(PrefaceLength, cancellationToken);
        frames.Add(FrameType.Settings, 0, 0, []);
        bool greeted = false;
        while (await frames.ReadAsync(cancellationToken) is { } frame)
        {
            switch (frame.Type)
            {
                case FrameType.Settings or FrameType.Ping when (frame.Flags & Frame.Ack) == 0:
                    frames.Add(frame.Type, Frame.Ack, 0, frame.Type == FrameType.Ping ? frame.Payload : []);
                    break;
                case FrameType.Headers when !greeted:
                    greeted = true;
                    AddStatus(frames, frame.Stream, StatusCode.Unimplemented);
                    break;
                case FrameType.Headers:
                    _answer(frames, frame.Stream);
                    break;
                case FrameType.Data when frame.Stream > 1:
                    _onData?.Invoke(frames, frame.Stream);
                    break;
                default:
                    break;
            }

            frames.Flush();
        }
    }
}
