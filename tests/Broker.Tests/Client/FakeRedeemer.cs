using System.Net.Sockets;
using System.Text;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>The broker's end of a redeeming connection, with answers of the test's choice.</summary>
internal sealed class FakeRedeemer : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    internal FakeRedeemer()
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"bar-broker-redeem-{Guid.NewGuid():n}");
        _listener.Bind(new UnixDomainSocketEndPoint(Path));
        _listener.Listen();
    }

    internal string Path { get; }

    /// <summary>Accepts a connection and reads all that a client sends; the connection, and that.</summary>
    internal async Task<(Socket Connection, string Request)> AcceptAsync()
    {
        Socket connection = await _listener.AcceptAsync(TestContext.Current.CancellationToken);
        byte[] request = new byte[40];
        await using NetworkStream stream = new(connection);
        await stream.ReadExactlyAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(0, connection.Available);
        return (connection, Encoding.ASCII.GetString(request));
    }

    internal static void Answer(Socket connection, byte answer, OwnedDescriptor? descriptor = null) =>
        Assert.Equal(1, DescriptorSocket.TrySend(connection.SafeHandle, [answer], descriptor));

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(Path);
    }
}
