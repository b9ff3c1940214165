using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Unix;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class ConnectionTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_handler_sees_who_connected()
    {
        await using TestHost host = await TestHost.StartAsync();
        IPeerConnection? connection = null;
        host.Service.OnUnary = (request, context) =>
        {
            connection = context.Connection;
            return Task.FromResult(request);
        };
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        await UnaryAsync(channel);

        Assert.Equal(1UL, connection!.Id);
        Assert.Equal(Environment.ProcessId, connection.Credentials.Pid);
        Assert.False(connection.Closed.IsCancellationRequested);
        Assert.False(connection.ProcessExited.IsCancellationRequested);
    }

    [Fact]
    public async Task A_dying_connection_closes_what_is_queued_on_it_and_takes_no_more()
    {
        await using TestHost host = await TestHost.StartAsync();
        HashSet<ulong> inodes = [];
        TaskCompletionSource<IPeerConnection> queued = new(TaskCreationOptions.RunContinuationsAsynchronously);
        host.Service.OnUnary = async (request, context) =>
        {
            for (int i = 0; i < 10; i++)
            {
                OwnedDescriptor descriptor = TestDescriptors.Create();
                inodes.Add(Files.InodeOf(descriptor));
                context.Connection.QueueDescriptor(descriptor);
            }

            queued.SetResult(context.Connection);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return request;
        };
        UnixGrpcChannel channel = await host.ConnectAsync();
        Task call = UnaryAsync(channel);
        IPeerConnection connection = await queued.Task;
        Assert.Equal(10, TestDescriptors.CountOpen(inodes));

        await channel.DisposeAsync();
        await Assert.ThrowsAsync<RpcException>(() => call);
        await Cancelled(connection.Closed).WaitAsync(TestToken);
        OwnedDescriptor late = TestDescriptors.Create();
        Assert.Throws<IOException>(() => connection.QueueDescriptor(late));
        Assert.True(late.IsClosed);

        // Stopping waits until every connection is disposed.
        await host.Server.StopAsync(TestToken);
        Assert.Equal(0, TestDescriptors.CountOpen(inodes));
    }

    [Fact]
    public async Task Descriptors_get_through_a_socket_that_is_full()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        string big = new('x', 60_000);
        host.Service.OnTakeDescriptor = static (request, context) =>
        {
            OwnedDescriptor descriptor = TestDescriptors.Create();
            ulong inode = Files.InodeOf(descriptor);
            return Task.FromResult(new ErrorResponse
            {
                ErrorCode = (int)context.Connection.QueueDescriptor(descriptor),
                ErrorMessage = inode + " " + request.ErrorMessage,
            });
        };

        async Task CallAsync()
        {
            using DescriptorInbox.AcquireScope acquire = channel.Descriptors.BeginAcquire();
            ErrorResponse reply = await channel.UnaryAsync<ErrorResponse, ErrorResponse>(
                TestService.DescriptorPath, new ErrorResponse { ErrorMessage = big }, new CallOptions(CancellationToken: TestToken));
            ulong inode = ulong.Parse(reply.ErrorMessage.AsSpan(0, reply.ErrorMessage.IndexOf(' ')), System.Globalization.CultureInfo.InvariantCulture);
            using OwnedDescriptor descriptor = await channel.Descriptors.ClaimAsync((ulong)reply.ErrorCode, inode, TestToken);
        }

        // Some 12 MB through a socket that holds 0.2 MB: most sends are partial or find it full.
        await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => CallAsync()));
    }

    [Fact]
    public async Task A_connection_that_never_speaks_HTTP_2_is_closed()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(
            new GrpcServerOptions { Endpoints = [], PrefaceTimeout = TimeSpan.FromSeconds(5) }, timeProvider: time);
        host.ExpectedEvents.Add(105);
        using Socket silent = await ConnectRawAsync(host);
        using Socket slow = await ConnectRawAsync(host);
        await slow.SendAsync("PRI * HTTP"u8.ToArray(), SocketFlags.None);
        using Socket noisy = await ConnectRawAsync(host);
        await noisy.SendAsync(new byte[1024], SocketFlags.None);
        await using UnixGrpcChannel speaking = await host.ConnectAsync();

        // Connections are accepted in order: the last one's answer is proof that the clocks of the others run.
        time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(0, await silent.ReceiveAsync(new byte[1], SocketFlags.None, TestToken));
        Assert.Equal(0, await slow.ReceiveAsync(new byte[1], SocketFlags.None, TestToken));
        Assert.Equal(0, await noisy.ReceiveAsync(new byte[1], SocketFlags.None, TestToken));
        await UnaryAsync(speaking);

        // Logged first, and counted, once the peer has seen the end: nothing tells when.
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(TestToken);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (host.Counters.ProtocolErrors[BrokenProtocol.Silent] < 3)
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        Assert.Equal(3, host.Counters.ProtocolErrors[BrokenProtocol.Silent]);
        Assert.Single(host.Log.Entries, static entry => entry.EventId == 105);
    }

    [Fact]
    public async Task A_quiet_connection_stays_for_days()
    {
        FakeTimeProvider time = new();
        await using TestHost host = await TestHost.StartAsync(timeProvider: time);
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        time.Advance(TimeSpan.FromDays(10));

        await UnaryAsync(channel);
        Assert.False(channel.Closed.IsCancellationRequested);
    }

    [Fact]
    public async Task One_connection_too_many_is_closed_at_once_and_a_closed_one_makes_room()
    {
        await using TestHost host = await TestHost.StartAsync(maxConnections: 2);
        host.ExpectedEvents.Add(103);
        await using UnixGrpcChannel first = await host.ConnectAsync();
        UnixGrpcChannel second = await host.ConnectAsync();

        RpcException refused = await Assert.ThrowsAsync<RpcException>(host.ConnectAsync);
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
        Assert.Contains("as many connections as it takes", refused.Status.Detail, StringComparison.Ordinal);
        Assert.Equal(103, Assert.Single(host.Log.Entries).EventId);

        await second.DisposeAsync();
        UnixGrpcChannel? third = null;
        while (third is null)
        {
            // The server learns of the end in its own time.
            try
            {
                third = await host.ConnectAsync();
            }
            catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable)
            {
                TestToken.ThrowIfCancellationRequested();
            }
        }

        await third.DisposeAsync();
    }

    [Fact]
    public async Task An_HTTP_1_client_is_told_so()
    {
        await using TestHost host = await TestHost.StartAsync();
        using Socket client = await ConnectRawAsync(host);
        await client.SendAsync("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), SocketFlags.None);

        await using NetworkStream stream = new(client);
        using StreamReader reader = new(stream);
        Assert.StartsWith("HTTP/1.1 400", await reader.ReadToEndAsync(TestToken), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("%2Frun%2Fbb.sock")]
    [InlineData("\u001b[2J \u001b[31mall leases revoked")]
    public async Task An_authority_that_Kestrel_rejects_is_logged_with_the_cure_and_without_control_characters(string authority)
    {
        await using TestHost host = await TestHost.StartAsync();
        host.ExpectedEvents.Add(204);
        using Socket client = await ConnectRawAsync(host);
        await using NetworkStream stream = new(client);

        // .NET's client would not send it. HPACK: POST, http, then a literal path and authority.
        byte[] block = [0x83, 0x86, 0x04, 1, (byte)'/', 0x01, (byte)authority.Length, .. System.Text.Encoding.ASCII.GetBytes(authority)];
        await stream.WriteAsync((byte[])[.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, (byte)block.Length, 1, 5, 0, 0, 0, 1, .. block], TestToken);
        const byte ResetFrame = 3;
        byte[] header = new byte[9];
        do
        {
            await stream.ReadExactlyAsync(header, TestToken);
            await stream.ReadExactlyAsync(new byte[(header[1] << 8) | header[2]], TestToken);
        }
        while (header[3] != ResetFrame);

        string logged = Assert.Single(host.Log.Entries).Message;
        Assert.Contains("grpc.default_authority", logged, StringComparison.Ordinal);
        Assert.DoesNotContain(logged, static c => char.IsControl(c));
    }

    private static async Task<Socket> ConnectRawAsync(TestHost host)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(host.SocketPath), TestToken);
        return socket;
    }

    private static Task<ErrorResponse> UnaryAsync(UnixGrpcChannel channel) => channel.UnaryAsync<ErrorResponse, ErrorResponse>(
        TestService.UnaryPath, new ErrorResponse(), new CallOptions(CancellationToken: TestToken));

    private static Task Cancelled(CancellationToken token)
    {
        TaskCompletionSource cancelled = new();
        token.Register(cancelled.SetResult);
        return cancelled.Task;
    }
}
