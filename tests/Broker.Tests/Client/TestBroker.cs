using System.Runtime.InteropServices;
using System.Text;
using BarBroker.Devices;
using BarBroker.Devices.Simulated;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc;
using BarBroker.Rpc.Services;
using BarBroker.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace BarBroker.Tests.Client;

/// <summary>The broker with a simulated device, in this process, on a real socket.</summary>
internal sealed partial class TestBroker : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-");
    private readonly SimulatedBarDevice _device;
    private readonly GrpcServer _server;

    private TestBroker()
    {
        uint uid = GetUserId();
        BrokerPolicy policy = PolicyReader.Read(
            Encoding.UTF8.GetBytes($$"""
            {
              "devices": {
                "sim0": {
                  "simulated": { "bars": { "2": "8MiB" } },
                  "windows": {
                    "left": { "bar": 2, "offset": 0, "length": "64KiB" },
                    "status": { "bar": 2, "offset": "64KiB", "length": "4KiB" }
                  }
                }
              },
              "grants": [
                { "uid": {{uid}}, "device": "sim0", "windows": ["left"], "access": "read-write" },
                { "uid": {{uid}}, "device": "sim0", "windows": ["status"], "access": "read-only" },
                { "uid": {{uid}}, "device": "sim0", "areas": [ { "bar": 2, "offset": "1MiB", "length": "7MiB" } ], "access": "read-write" }
              ]
            }
            """),
            "test.json");
        _device = new SimulatedBarDevice("sim0", [new(2, 8 << 20)]);
        Leases = new LeaseTable([_device], new LeaseLimits(), TimeProvider.System, NullLogger<LeaseTable>.Instance);
        BrokerService service = new(new ServedDevices(policy, [_device]), Leases, new WarningThrottle(TimeProvider.System), NullLogger<BrokerService>.Instance);
        _server = new GrpcServer(
            new GrpcServerOptions { Endpoints = [new GrpcEndpoint { SocketPath = SocketPath, Services = [service] }] },
            NullLoggerFactory.Instance,
            TimeProvider.System);
    }

    public string SocketPath => Path.Combine(_directory.FullName, "broker.sock");

    /// <summary>What an administrator works with.</summary>
    public LeaseTable Leases { get; }

    /// <summary>Leases that have not ended.</summary>
    public int LiveLeases => Leases.List(_ => true).Length;

    public static async Task<TestBroker> StartAsync(CancellationToken cancellationToken)
    {
        TestBroker broker = new();
        await broker._server.StartAsync(cancellationToken);
        return broker;
    }

    /// <summary>As the daemon stops: leases first, then who watches them, then connections.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        (_, Task watchersLeft) = await Leases.ShutdownAsync();
        await watchersLeft.WaitAsync(cancellationToken);
        await _server.StopAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _device.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetUserId();
}
