using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Grpc.Health.V1;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Transport;

/// <summary>Clients that send descriptors, which nobody asked them for.</summary>
public sealed class SentDescriptorTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    private static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    [Fact]
    public async Task Descriptors_that_a_client_sends_are_refused_or_at_least_dropped()
    {
        await using TestHost host = await TestHost.StartAsync();
        using Socket client = await ConnectAsync(host.SocketPath);
        OwnedDescriptor descriptor = TestDescriptors.Create();
        HashSet<ulong> inodes = [Files.InodeOf(descriptor)];
        try
        {
            DescriptorSocket.TrySend(client.SafeHandle, Preface, descriptor);
            Assert.False(KernelRefuses());
        }
        catch (UnixException exception)
        {
            Assert.Equal(Errno.NotPermitted, exception.Errno);
            DescriptorSocket.TrySend(client.SafeHandle, Preface, descriptor: null);
        }

        descriptor.Dispose();

        // The server's SETTINGS say that it has read the preface.
        Assert.NotEqual(0, await client.ReceiveAsync(new byte[64], SocketFlags.None, TestToken));
        Assert.Equal(0, TestDescriptors.CountOpen(inodes));
    }

    /// <summary>A socket of the service manager takes connections, and what they send, before there is a broker to refuse it.</summary>
    [Theory]
    [InlineData("B")]
    [InlineData("P")]
    public async Task A_descriptor_that_takes_long_to_close_holds_up_nobody_else(string first)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("bar-broker-wire-");
        string path = Path.Combine(directory.FullName, "test.sock");
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(16);
        await using GrpcServer server = new(
            new GrpcServerOptions { Endpoints = [new GrpcEndpoint { SocketPath = path, Services = ImmutableArray<IGrpcService>.Empty, Inherited = listener, TakesTickets = true }] },
            new TestLog(),
            TimeProvider.System);

        // Ends before the server does, which waits for all that it has accepted.
        using Lingering lingering = Lingering.Create();
        using Socket client = await ConnectAsync(path);
        lingering.SendTo(client, first);
        await server.StartAsync(TestToken);

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(TestToken);
        limit.CancelAfter(TimeSpan.FromSeconds(Lingering.Seconds / 2));
        await using UnixGrpcChannel innocent = await UnixGrpcChannel.ConnectAsync(path, limit.Token);
        HealthCheckResponse answer = await innocent.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(
            "/grpc.health.v1.Health/Check", new HealthCheckRequest(), new CallOptions(CancellationToken: limit.Token));

        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, answer.Status);
        directory.Delete(recursive: true);
    }

    private static bool KernelRefuses()
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.GetRawSocketOption(Libc.SolSocket, Libc.SoPassRights, new byte[sizeof(int)]);
            return true;
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ProtocolOption)
        {
            return false;
        }
    }

    private static async Task<Socket> ConnectAsync(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), TestToken);
        return socket;
    }

    /// <summary>A TCP socket whose last close waits for what its peer does not read.</summary>
    private sealed class Lingering : IDisposable
    {
        internal const int Seconds = 30;

        private readonly Socket _socket;
        private readonly Socket _peer;

        private Lingering(Socket socket, Socket peer)
        {
            _socket = socket;
            _peer = peer;
        }

        internal static Lingering Create()
        {
            using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(1);
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { LingerState = new LingerOption(true, Seconds) };
            socket.Connect(listener.LocalEndPoint!);
            Socket peer = listener.Accept();
            socket.Blocking = false;
            byte[] filler = new byte[64 * 1024];
            try
            {
                while (true)
                {
                    socket.Send(filler);
                }
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.WouldBlock)
            {
                // Full: closing has something to wait for.
            }

            return new Lingering(socket, peer);
        }

        /// <summary>From then on it is on its way only: whoever drops it closes it.</summary>
        internal void SendTo(Socket client, string bytes)
        {
            // Closed by close(2) alone: Socket's own way of closing would shut the connection down for the copy too.
            using OwnedDescriptor socket = new((int)_socket.SafeHandle.DangerousGetHandle());
            _socket.SafeHandle.SetHandleAsInvalid();
            DescriptorSocket.TrySend(client.SafeHandle, System.Text.Encoding.ASCII.GetBytes(bytes), socket);
        }

        /// <summary>Ends the wait of whoever closes it: the peer's reset.</summary>
        public void Dispose()
        {
            _peer.LingerState = new LingerOption(true, 0);
            _peer.Dispose();
        }
    }
}
