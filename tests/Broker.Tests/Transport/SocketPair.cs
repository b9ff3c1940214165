using System.Net.Sockets;

namespace BarBroker.Tests.Transport;

/// <summary>Two connected Unix stream sockets.</summary>
internal sealed class SocketPair : IDisposable
{
    internal SocketPair()
    {
        string path = Path.Combine(Path.GetTempPath(), "bar-broker-pair-" + Guid.NewGuid().ToString("N"));
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        Client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        Client.Connect(new UnixDomainSocketEndPoint(path));
        Server = listener.Accept();
    }

    internal Socket Client { get; }

    internal Socket Server { get; }

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
    }
}
