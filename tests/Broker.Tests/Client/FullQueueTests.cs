using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>A broker with as many connections waiting as its queue takes: connect(2) says EAGAIN.</summary>
public sealed class FullQueueTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-queue-");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly List<Socket> _waiting = [];
    private readonly FakeTimeProvider _time = new();

    public FullQueueTests()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        _listener.Listen(1);
        try
        {
            while (true)
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
                _waiting.Add(socket);
                socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.WouldBlock)
        {
            // Full.
        }
    }

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    private string SocketPath => Path.Combine(_directory.FullName, "full.sock");

    [Fact]
    public async Task A_client_connects_as_soon_as_there_is_room()
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(TestToken);
        Task<UnixGrpcChannel> connecting = UnixGrpcChannel.ConnectAsync(SocketPath, _time, end.Token);
        int waiting = _waiting.Count - 1;
        for (int i = 0; i < waiting; i++)
        {
            (await _listener.AcceptAsync(TestToken)).Dispose();
        }

        Task<Socket> accepted = _listener.AcceptAsync(TestToken).AsTask();
        while (!accepted.IsCompleted)
        {
            _time.Advance(TimeSpan.FromMilliseconds(1));
            await Task.Yield();
        }

        (await accepted).Dispose();
        await Assert.ThrowsAsync<RpcException>(() => connecting);
    }

    [Fact]
    public async Task A_client_does_not_wait_for_ever()
    {
        Task<UnixGrpcChannel> connecting = UnixGrpcChannel.ConnectAsync(SocketPath, _time, TestToken);
        Assert.False(connecting.IsCompleted);
        while (!connecting.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => connecting);
        Assert.Equal(StatusCode.Unavailable, failure.StatusCode);
        Assert.Contains("too many connections waiting", failure.Status.Detail, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _waiting.ForEach(socket => socket.Dispose());
        _listener.Dispose();
        _directory.Delete(recursive: true);
    }
}
