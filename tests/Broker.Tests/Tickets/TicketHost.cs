using System.Text;
using System.Threading.Channels;
using BarBroker.Client.Grpc;
using BarBroker.Devices.Simulated;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc;
using BarBroker.Rpc.Services;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Unix;
using BarBroker.V1;
using Microsoft.Extensions.Logging;
using Xunit;
using Duration = Google.Protobuf.WellKnownTypes.Duration;

namespace BarBroker.Tests.Tickets;

/// <summary>A broker with tickets and a simulated device, in this process, on real sockets: one that takes tickets, and one that doesn't.</summary>
internal sealed class TicketHost : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-tickets-");
    private readonly SimulatedBarDevice _device = new("sim0", [new(2, 1 << 20)]);
    private readonly EndLog _ends = new();
    private readonly GrpcServer _server;

    private TicketHost(TimeProvider time, int maxConnections)
    {
        uint uid = Libc.GetEffectiveUserId();
        BrokerPolicy policy = PolicyReader.Read(
            Encoding.UTF8.GetBytes($$"""
            {
              "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } },
              "grants": [ { "uid": {{uid}}, "device": "sim0", "areas": [ { "bar": 2, "offset": 0, "length": "1MiB" } ], "access": "read-write" } ]
            }
            """),
            "test.json");
        Leases = new LeaseTable([_device], new LeaseLimits(), time, _ends);
        ServedDevices devices = new(policy, [_device]);
        BrokerService service = new(devices, Leases, new WarningThrottle(TimeProvider.System), Log.CreateLogger<BrokerService>());
        _server = new GrpcServer(
            new GrpcServerOptions
            {
                Endpoints =
                [
                    new GrpcEndpoint { SocketPath = SocketPath, Services = [service], TakesTickets = true, MaxConnectionsPerUser = maxConnections },
                    new GrpcEndpoint { SocketPath = PlainSocketPath, Services = [service, new AdminService(devices, Leases, new WireCounters(), Log.CreateLogger<AdminService>())] },
                ],
            },
            Log,
            time);
    }

    internal string SocketPath => Path.Combine(_directory.FullName, "broker.sock");

    internal string PlainSocketPath => Path.Combine(_directory.FullName, "plain.sock");

    internal LeaseTable Leases { get; }

    internal TestLog Log { get; } = new();

    /// <summary>The event ids from Warning up that the test expects; any other fails it.</summary>
    internal HashSet<int> ExpectedEvents { get; } = [];

    internal static async Task<TicketHost> StartAsync(TimeProvider? time = null, int maxConnections = 100)
    {
        TicketHost host = new(time ?? TimeProvider.System, maxConnections);
        await host._server.StartAsync(TestContext.Current.CancellationToken);
        return host;
    }

    internal Task<UnixGrpcChannel> ConnectAsync() => UnixGrpcChannel.ConnectAsync(SocketPath, TestContext.Current.CancellationToken);

    internal static Task<AcquireResponse> AcquireAsync(UnixGrpcChannel channel, ulong page = 0, TimeSpan? leaseTime = null) => channel.UnaryAsync<AcquireRequest, AcquireResponse>(
        "/barbroker.v1.Broker/Acquire",
        new AcquireRequest
        {
            Device = "sim0",
            Ranges = new BarRanges { Bar = 2, Ranges = { new V1.Range { Offset = page * 4096, Length = 4096 } } },
            Access = V1.Access.ReadWrite,
            Delivery = Delivery.Ticket,
            LeaseTime = leaseTime is { } time ? Duration.FromTimeSpan(time) : null,
        },
        new CallOptions(CancellationToken: TestContext.Current.CancellationToken));

    /// <summary>Takes a lease on a connection that is closed before this returns.</summary>
    internal async Task<AcquireResponse> AcquireAsync(ulong page = 0)
    {
        await using UnixGrpcChannel channel = await ConnectAsync();
        return await AcquireAsync(channel, page);
    }

    /// <summary>Connects as a client with a ticket does, and sends it.</summary>
    internal Task<RedeemClient> RedeemAsync(string secret) => RedeemClient.SendAsync(SocketPath, $"BARFD1 {secret}\n");

    /// <summary>The next lease that ends, and why.</summary>
    internal async Task<string> NextEndAsync() => await _ends.Lines.ReadAsync(TestContext.Current.CancellationToken);

    /// <summary>As the daemon stops: leases first, then who watches them, then connections.</summary>
    internal async Task StopAsync()
    {
        (_, Task watchersLeft) = await Leases.ShutdownAsync();
        await watchersLeft.WaitAsync(TestContext.Current.CancellationToken);
        await StopServingAsync();
    }

    internal Task StopServingAsync() => _server.StopAsync(TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _device.DisposeAsync();
        _directory.Delete(recursive: true);
        Assert.DoesNotContain(Log.Entries, entry => !ExpectedEvents.Contains(entry.EventId));
    }

    /// <summary>Hears of the end of each lease.</summary>
    private sealed class EndLog : ILogger<LeaseTable>
    {
        private const int Ended = 1002;

        private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

        internal ChannelReader<string> Lines => _lines.Reader;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (eventId.Id == Ended)
            {
                _lines.Writer.TryWrite(formatter(state, exception));
            }
        }
    }
}
