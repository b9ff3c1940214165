using BarBroker.Grpc;
using BarBroker.V1;
using Xunit;

namespace BarBroker.Tests.Rpc;

public sealed class AdminServiceTests : ServiceTest
{
    [Fact]
    public async Task ListDevices_shows_bars_windows_and_what_is_never_leased()
    {
        AdminListDevicesResponse response = await Admin.CallAsync<AdminListDevicesRequest, AdminListDevicesResponse>("ListDevices", new AdminListDevicesRequest(), Root);

        Device device = Assert.Single(response.Devices);
        Assert.Equal(("dev0", "", false, DeviceState.Serving), (device.Device_, device.Address, device.Simulated, device.State));
        Assert.Equal([(0U, 0x100000UL, 0), (2U, 0x100000UL, 1)], device.Bars.Select(bar => (bar.Bar_, bar.Size, bar.Reserved.Count)));
        Assert.Equal(["left", "dials", "pair", "frames", "vault"], device.Windows.Select(window => window.Window_));
    }

    [Fact]
    public async Task ListDevices_says_that_a_device_is_gone()
    {
        Device.GoAway();

        AdminListDevicesResponse response = await Admin.CallAsync<AdminListDevicesRequest, AdminListDevicesResponse>("ListDevices", new AdminListDevicesRequest(), Root);

        Assert.Equal(DeviceState.Gone, Assert.Single(response.Devices).State);
    }

    [Fact]
    public async Task ListLeases_shows_who_holds_what()
    {
        AcquireResponse lease = await AcquireAsync(Window());

        HeldLease held = Assert.Single((await ListAsync("dev0")).Leases);
        Assert.Equal(lease.Lease, held.Lease);
        Assert.Equal(new Holder { Uid = 1000, Gid = 1000, Pid = 4711, ConnectionId = 1 }, held.Holder);
        Assert.Equal(LeaseState.Active, held.State);
        Assert.Single((await ListAsync("")).Leases);
        await FailsAsync(StatusCode.NotFound, "DEVICE_UNKNOWN", () => ListAsync("dev1"));
    }

    [Fact]
    public async Task ListLeases_shows_quarantine()
    {
        AcquireResponse lease = await AcquireAsync(Window());
        Device.RevokeFails = _ => true;

        await FailsAsync(StatusCode.Internal, "REVOKE_UNCONFIRMED", () => RevokeAsync(new RevokeRequest { LeaseId = lease.Lease.LeaseId }));

        Assert.Equal(LeaseState.Quarantined, Assert.Single((await ListAsync("")).Leases).State);
    }

    public static TheoryData<string, ulong[]> Targets => new()
    {
        { """{ "leaseId": "2" }""", [2] },
        { """{ "uid": 1000 }""", [1, 2, 3] },
        { """{ "uid": 6666 }""", [] },
        { """{ "pid": 4711 }""", [1, 2, 3] },
        { """{ "pid": 1 }""", [] },
        { """{ "window": { "device": "dev0", "window": "left" } }""", [1] },
        { """{ "window": { "device": "dev0", "window": "vault" } }""", [] },
        { """{ "device": "dev0" }""", [1, 2, 3] },
        { """{ "all": true }""", [1, 2, 3] },
    };

    [Theory]
    [MemberData(nameof(Targets))]
    public async Task Revoke_ends_exactly_the_leases_that_are_meant(string request, ulong[] expected)
    {
        await AcquireThreeAsync();

        RevokeResponse response = await RevokeAsync(RevokeRequest.Parser.ParseJson(request));

        Assert.Equal(expected, response.LeaseIds.Order());
        Assert.Equal(3 - expected.Length, (await ListAsync("")).Leases.Count);
    }

    public static TheoryData<string, StatusCode, string> BadTargets => new()
    {
        { "{}", StatusCode.InvalidArgument, "TARGET_MISSING" },
        { """{ "all": false }""", StatusCode.InvalidArgument, "TARGET_MISSING" },
        { """{ "leaseId": "99" }""", StatusCode.NotFound, "LEASE_UNKNOWN" },
        { """{ "leaseId": "0" }""", StatusCode.NotFound, "LEASE_UNKNOWN" },
        { """{ "device": "dev1" }""", StatusCode.NotFound, "DEVICE_UNKNOWN" },
        { """{ "window": {} }""", StatusCode.NotFound, "DEVICE_UNKNOWN" },
        { """{ "window": { "device": "dev0", "window": "right" } }""", StatusCode.NotFound, "WINDOW_UNKNOWN" },
    };

    [Theory]
    [MemberData(nameof(BadTargets))]
    public async Task Revoke_of_what_is_not_there_ends_nothing(string request, StatusCode code, string reason)
    {
        await AcquireThreeAsync();

        await FailsAsync(code, reason, () => RevokeAsync(RevokeRequest.Parser.ParseJson(request)));

        Assert.Equal(3, (await ListAsync("")).Leases.Count);
    }

    private async Task AcquireThreeAsync()
    {
        await AcquireAsync(Window());
        await AcquireAsync(Window("dials"));
        await AcquireAsync(Range(0x90000, 0x1000));
    }

    private Task<ListLeasesResponse> ListAsync(string device)
        => Admin.CallAsync<ListLeasesRequest, ListLeasesResponse>("ListLeases", new ListLeasesRequest { Device = device }, Root);
}
