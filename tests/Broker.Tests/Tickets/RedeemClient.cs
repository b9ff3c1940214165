using System.Net.Sockets;
using System.Text;
using BarBroker.Tests.Transport;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Tickets;

/// <summary>The other end of a redeeming connection, bytes of the test's choice.</summary>
internal sealed class RedeemClient : IDisposable
{
    private readonly RecordingSink _sink = new();

    private RedeemClient(Socket socket)
    {
        Socket = socket;
    }

    internal Socket Socket { get; }

    /// <summary>The one that came with the answer.</summary>
    internal OwnedDescriptor Descriptor => Assert.Single(_sink.Descriptors);

    internal int DescriptorCount => _sink.Descriptors.Count;

    internal static async Task<RedeemClient> ConnectAsync(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), TestContext.Current.CancellationToken);
        return new RedeemClient(socket);
    }

    internal static async Task<RedeemClient> SendAsync(string path, string text)
    {
        RedeemClient client = await ConnectAsync(path);
        await client.SendAsync(text);
        return client;
    }

    internal async Task SendAsync(string text) => await Socket.SendAsync(Encoding.Latin1.GetBytes(text), SocketFlags.None, TestContext.Current.CancellationToken);

    /// <summary>One byte more; null at the end, whichever way that is told.</summary>
    internal async Task<int?> ReadAsync()
    {
        byte[] answer = new byte[1];
        try
        {
            while (true)
            {
                await Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, TestContext.Current.CancellationToken);
                int received = DescriptorSocket.TryReceive(Socket.SafeHandle, answer, _sink);
                if (received != DescriptorSocket.WouldBlock)
                {
                    return received == 0 ? null : answer[0];
                }
            }
        }
        catch (Exception exception) when (exception is SocketException { SocketErrorCode: SocketError.ConnectionReset } or UnixException { Errno: Errno.ConnectionReset })
        {
            return null;
        }
    }

    /// <summary>An answer that is the last.</summary>
    internal async Task<int?> ReadLastAsync()
    {
        int? answer = await ReadAsync();
        Assert.Null(await ReadAsync());
        return answer;
    }

    public void Dispose()
    {
        Socket.Dispose();
        _sink.Dispose();
    }
}
