using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc.Services;
using BarBroker.Tests.Leases;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.V1;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Rpc;

/// <summary>Both services over one device that does what the test says.</summary>
public abstract class ServiceTest : IAsyncLifetime
{
    private const string PolicyText =
        """
        {
          "devices": {
            "dev0": {
              "address": "0000:01:00.0",
              "windows": {
                "left": { "bar": 0, "offset": 0, "length": "64KiB" },
                "dials": { "bar": 0, "offset": "64KiB", "length": "4KiB" },
                "pair": { "bar": 0, "ranges": [ { "offset": "0x50000", "length": "4KiB" }, { "offset": "0x40000", "length": "8KiB" } ] },
                "frames": { "bar": 0, "offset": "0x60000", "length": "64KiB" },
                "vault": { "bar": 0, "offset": "128KiB", "length": "4KiB" },
              },
            },
          },
          "grants": [
            { "uid": 1000, "device": "dev0", "windows": ["left"], "access": "read-write" },
            { "uid": 1000, "device": "dev0", "windows": ["dials"], "access": "read-only", "exclusive": false },
            { "uid": 1000, "device": "dev0", "areas": [ { "bar": 2, "offset": "0x80000", "length": "512KiB" } ], "access": "read-only" },
            { "uid": 1000, "device": "dev0", "windows": ["pair", "frames"], "access": "read-write", "memory": "write-combining", "p2p": true },
            { "uid": 1001, "device": "dev0", "windows": ["dials"], "access": "read-only", "exclusive": false, "maxLeases": 1 },
            { "uid": 1001, "device": "dev0", "windows": ["left"], "access": "read-only", "exclusive": false, "maxBytes": "64KiB" },
          ],
        }
        """;

    protected ServiceTest()
    {
        Served = new ServedDevices(PolicyReader.Read(System.Text.Encoding.UTF8.GetBytes(PolicyText), "policy.json"), [Device]);
        Table = new LeaseTable([Device], new LeaseLimits { PerConnection = 3 }, Time, NullLogger<LeaseTable>.Instance);
        Broker = new ServiceCalls(new BrokerService(Served, Table, new WarningThrottle(TimeProvider.System), NullLogger<BrokerService>.Instance));
        Admin = new ServiceCalls(new AdminService(Served, Table, new WireCounters(), NullLogger<AdminService>.Instance));
    }

    internal FakeBarDevice Device { get; } = new();

    internal ServedDevices Served { get; }

    internal FakeTimeProvider Time { get; } = new();

    internal LeaseTable Table { get; }

    internal ServiceCalls Broker { get; }

    internal ServiceCalls Admin { get; }

    /// <summary>Has the grants above.</summary>
    internal FakeConnection Alice { get; } = new(1, uid: 1000);

    /// <summary>Has grants with limits.</summary>
    internal FakeConnection Bob { get; } = new(4, uid: 1001);

    /// <summary>Has none.</summary>
    internal FakeConnection Mallory { get; } = new(2, uid: 6666);

    internal FakeConnection Root { get; } = new(3, uid: 0);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await Device.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    internal static AcquireRequest Window(string name = "left", string device = "dev0", Access access = Access.ReadOnly)
        => new() { Device = device, Window = name, Access = access, Delivery = Delivery.InBand };

    internal static AcquireRequest Range(ulong offset, ulong length, uint bar = 2, Access access = Access.ReadOnly) => new()
    {
        Device = "dev0",
        Ranges = new BarRanges { Bar = bar, Ranges = { new V1.Range { Offset = offset, Length = length } } },
        Access = access,
        Delivery = Delivery.InBand,
    };

    internal Task<AcquireResponse> AcquireAsync(AcquireRequest request, FakeConnection? connection = null)
        => Broker.CallAsync<AcquireRequest, AcquireResponse>("Acquire", request, connection ?? Alice);

    internal Task<ReleaseResponse> ReleaseAsync(ulong id, FakeConnection? connection = null)
        => Broker.CallAsync<ReleaseRequest, ReleaseResponse>("Release", new ReleaseRequest { LeaseId = id }, connection ?? Alice);

    internal Task<RevokeResponse> RevokeAsync(RevokeRequest request) => Admin.CallAsync<RevokeRequest, RevokeResponse>("Revoke", request, Root);

    /// <summary>Checks status and reason; returns the message.</summary>
    internal static async Task<string> FailsAsync(StatusCode code, string reason, Func<Task> call)
    {
        RpcException exception = await Assert.ThrowsAsync<RpcException>(call);
        Assert.Equal((code, reason), (exception.StatusCode, exception.GetReason()));
        Assert.EndsWith(".", exception.Status.Detail, StringComparison.Ordinal);
        return exception.Status.Detail;
    }
}
