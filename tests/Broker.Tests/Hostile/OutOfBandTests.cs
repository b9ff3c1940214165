using System.Net.Sockets;
using BarBroker.Tests.Grpc;
using Xunit;

namespace BarBroker.Tests.Hostile;

/// <summary>Bytes sent with MSG_OOB, which a look at the queue passes over while epoll goes on reporting them, for ever.</summary>
public sealed class OutOfBandTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(23)]
    public async Task A_byte_out_of_band_is_read_in_its_place(int index)
    {
        byte[] preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();
        await using TestHost host = await TestHost.StartAsync();
        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(host.SocketPath), TestToken);

        client.Send(preface.AsSpan(0, index));
        client.Send(preface.AsSpan(index, 1), SocketFlags.OutOfBand);
        client.Send(preface.AsSpan(index + 1));
        client.Send((byte[])[0, 0, 0, 4, 0, 0, 0, 0, 0]);

        // The server's SETTINGS, and not HTTP/1's 400: it has read all of the preface.
        byte[] answer = new byte[4];
        Assert.NotEqual(0, await client.ReceiveAsync(answer, SocketFlags.None, TestToken));
        Assert.Equal(4, answer[3]);
    }
}
