using BarBroker.Devices;
using BarBroker.Devices.Simulated;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc.Services;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Unix;
using BarBroker.V1;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using DeviceState = BarBroker.V1.DeviceState;
using SuspendReason = BarBroker.V1.SuspendReason;

namespace BarBroker.Tests.Rpc;

/// <summary>An admin suspends, resumes and resets devices.</summary>
public sealed class AdminDeviceTests : ServiceTest
{
    [Theory]
    [InlineData(SuspendMode.MemoryOff, SuspendReason.MemoryOff)]
    [InlineData(SuspendMode.LowPower, SuspendReason.LowPower)]
    public async Task A_suspended_device_says_so_gives_no_leases_and_can_be_resumed(SuspendMode mode, SuspendReason reason)
    {
        await SuspendAsync(mode);

        Device device = await DescribeAsync();
        Assert.Equal((DeviceState.Suspended, reason), (device.State, device.SuspendReason));
        Assert.NotEmpty(device.Message);
        Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
        await FailsAsync(StatusCode.Unavailable, "DEVICE_SUSPENDED", () => AcquireAsync(Window()));

        await Admin.CallAsync<ResumeDeviceRequest, ResumeDeviceResponse>("ResumeDevice", new ResumeDeviceRequest { Device = "dev0" }, Root);
        device = await DescribeAsync();
        Assert.Equal((DeviceState.Serving, SuspendReason.Unspecified, ""), (device.State, device.SuspendReason, device.Message));
    }

    [Fact]
    public async Task A_reset_reaches_the_device()
    {
        await ResetAsync();

        Assert.Equal(["reset"], Device.Controls);
    }

    [Theory]
    [InlineData(SuspendMode.Unspecified)]
    [InlineData((SuspendMode)99)]
    public async Task A_mode_that_is_none_is_refused(SuspendMode mode)
    {
        await FailsAsync(StatusCode.InvalidArgument, "MODE_MISSING", () => SuspendAsync(mode));
        Assert.Empty(Device.Controls);
    }

    public static TheoryData<string, StatusCode, string> Failures => new()
    {
        { nameof(DeviceSuspendedException), StatusCode.FailedPrecondition, "DEVICE_SUSPENDED" },
        { nameof(SuspendUnsupportedException), StatusCode.FailedPrecondition, "MODE_UNSUPPORTED" },
        { nameof(ResetUnsupportedException), StatusCode.FailedPrecondition, "RESET_UNSUPPORTED" },
        { nameof(DeviceStuckException), StatusCode.Unavailable, "DEVICE_STUCK" },
        { nameof(DeviceGoneException), StatusCode.Unavailable, "DEVICE_GONE" },
        { nameof(ObjectDisposedException), StatusCode.Unavailable, "DEVICE_GONE" },
        { nameof(UnixException), StatusCode.Internal, "CONTROL_FAILED" },
        { nameof(IOException), StatusCode.Internal, "CONTROL_FAILED" },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task What_goes_wrong_is_told_as_the_contract_has_it(string failure, StatusCode code, string reason)
    {
        Device.ControlFailure = failure switch
        {
            nameof(DeviceSuspendedException) => new DeviceSuspendedException("dev0"),
            nameof(SuspendUnsupportedException) => new SuspendUnsupportedException("dev0", "because"),
            nameof(ResetUnsupportedException) => new ResetUnsupportedException("dev0", "because"),
            nameof(DeviceStuckException) => new DeviceStuckException("dev0", "reset"),
            nameof(DeviceGoneException) => new DeviceGoneException("dev0"),
            nameof(ObjectDisposedException) => new ObjectDisposedException("dev0"),
            nameof(UnixException) => new UnixException("VFIO_DEVICE_RESET", Errno.Again),
            _ => new IOException("it did not wake up"),
        };

        await FailsAsync(code, reason, ResetAsync);
    }

    [Fact]
    public async Task An_unknown_device_is_refused()
    {
        await FailsAsync(StatusCode.NotFound, "DEVICE_UNKNOWN", () => Admin.CallAsync<ResetDeviceRequest, ResetDeviceResponse>("ResetDevice", new ResetDeviceRequest { Device = "dev1" }, Root));
        await FailsAsync(StatusCode.NotFound, "DEVICE_UNKNOWN", () => Admin.CallAsync<ResumeDeviceRequest, ResumeDeviceResponse>("ResumeDevice", new ResumeDeviceRequest(), Root));
    }

    [Fact]
    public async Task A_broker_that_stops_touches_no_device_any_more()
    {
        await Table.ShutdownAsync();

        await FailsAsync(StatusCode.Unavailable, "SHUTTING_DOWN", ResetAsync);
        Assert.Empty(Device.Controls);
    }

    [Fact]
    public async Task A_stuck_device_says_in_which_call_and_gives_no_leases()
    {
        Device.Become(condition => condition with { StuckIn = "reset" });

        await FailsAsync(StatusCode.Unavailable, "DEVICE_STUCK", () => AcquireAsync(Window()));
        Device device = await DescribeAsync();
        Assert.Equal(DeviceState.Stuck, device.State);
        Assert.Contains("'reset'", device.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_from_whose_opening_the_kernel_has_not_returned_is_stuck_to_everybody()
    {
        BrokerPolicy policy = PolicyReader.Read(
            """
            {
              "devices": { "dev0": { "address": "0000:01:00.0", "windows": { "left": { "bar": 0, "offset": 0, "length": "64KiB" } } } },
              "grants": [
                { "uid": 1000, "device": "dev0", "windows": ["left"], "access": "read-only" },
                { "uid": 1000, "device": "dev0", "areas": [ { "bar": 2, "offset": 0, "length": "4KiB" } ], "access": "read-only" },
              ],
            }
            """u8,
            "policy.json");
        ServedDevices served = new(policy, [new UnopenedDevice("dev0", new PciAddress(0, 1, 0, 0), new TaskCompletionSource<IBarDevice>().Task)]);
        LeaseTable table = new([], new LeaseLimits(), TimeProvider.System, NullLogger<LeaseTable>.Instance);
        ServiceCalls broker = new(new BrokerService(served, table, new WarningThrottle(TimeProvider.System), NullLogger<BrokerService>.Instance));
        ServiceCalls admin = new(new AdminService(served, table, new WireCounters(), NullLogger<AdminService>.Instance));

        await FailsAsync(StatusCode.Unavailable, "DEVICE_STUCK", () => broker.CallAsync<AcquireRequest, AcquireResponse>("Acquire", Window(), Alice));
        await FailsAsync(StatusCode.Unavailable, "DEVICE_STUCK", () => broker.CallAsync<AcquireRequest, AcquireResponse>("Acquire", Range(0, 0x1000), Alice));
        await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => broker.CallAsync<AcquireRequest, AcquireResponse>("Acquire", Range(0, 0x2000), Alice));
        GrantedDevice granted = Assert.Single((await broker.CallAsync<ListDevicesRequest, ListDevicesResponse>("ListDevices", new ListDevicesRequest(), Alice)).Devices);
        Assert.Equal((1, 1), (granted.Windows.Count, granted.Areas.Count));
        await FailsAsync(StatusCode.Unavailable, "DEVICE_STUCK", () => admin.CallAsync<ResetDeviceRequest, ResetDeviceResponse>(
            "ResetDevice", new ResetDeviceRequest { Device = "dev0" }, Root));
        Device device = Assert.Single((await admin.CallAsync<AdminListDevicesRequest, AdminListDevicesResponse>("ListDevices", new AdminListDevicesRequest(), Root)).Devices);
        Assert.Equal((DeviceState.Stuck, "0000:01:00.0", 0), (device.State, device.Address, device.Bars.Count));
        Assert.Equal("The kernel does not return from 'open'; the broker's log says since when.", device.Message);
    }

    [Fact]
    public async Task A_device_with_a_quarantine_says_so()
    {
        AcquireResponse lease = await AcquireAsync(Window());
        Device.RevokeFails = _ => true;
        await FailsAsync(StatusCode.Internal, "REVOKE_UNCONFIRMED", () => RevokeAsync(new RevokeRequest { LeaseId = lease.Lease.LeaseId }));

        Assert.Contains("1 lease could not be confirmed", (await DescribeAsync()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_simulated_device_can_not_be_suspended_or_reset_and_says_so()
    {
        await using SimulatedBarDevice device = new("sim0", [new(0, 4096)]);
        BrokerPolicy policy = PolicyReader.Read("""{ "devices": { "sim0": { "simulated": { "bars": { "0": 4096 } } } } }"""u8, "policy.json");
        LeaseTable table = new([device], new LeaseLimits(), TimeProvider.System, NullLogger<LeaseTable>.Instance);
        ServiceCalls admin = new(new AdminService(new ServedDevices(policy, [device]), table, new WireCounters(), NullLogger<AdminService>.Instance));

        await FailsAsync(StatusCode.FailedPrecondition, "MODE_UNSUPPORTED", () => admin.CallAsync<SuspendDeviceRequest, SuspendDeviceResponse>(
            "SuspendDevice", new SuspendDeviceRequest { Device = "sim0", Mode = SuspendMode.MemoryOff }, Root));
        await FailsAsync(StatusCode.FailedPrecondition, "RESET_UNSUPPORTED", () => admin.CallAsync<ResetDeviceRequest, ResetDeviceResponse>(
            "ResetDevice", new ResetDeviceRequest { Device = "sim0" }, Root));
        await admin.CallAsync<ResumeDeviceRequest, ResumeDeviceResponse>("ResumeDevice", new ResumeDeviceRequest { Device = "sim0" }, Root);
    }

    [Fact]
    public async Task A_watcher_hears_of_suspension_and_resumption()
    {
        await AcquireAsync(Window());
        using CancellationTokenSource stop = new();
        ServiceCalls.ServerStream<WatchEvent> watch = Broker.Stream<WatchRequest, WatchEvent>("Watch", new WatchRequest(), Alice, stop.Token);
        Assert.Empty((await watch.NextAsync()).Snapshot.Suspended);

        await SuspendAsync(SuspendMode.LowPower);
        await ResetAsync();

        DeviceSuspended suspended = (await watch.NextAsync()).DeviceSuspended;
        Assert.Equal(("dev0", SuspendReason.LowPower), (suspended.Device, suspended.Reason));
        Assert.Equal(new DeviceResumed { Device = "dev0", Reset = true }, (await watch.NextAsync()).DeviceResumed);
        await stop.CancelAsync();
    }

    private Task<SuspendDeviceResponse> SuspendAsync(SuspendMode mode)
        => Admin.CallAsync<SuspendDeviceRequest, SuspendDeviceResponse>("SuspendDevice", new SuspendDeviceRequest { Device = "dev0", Mode = mode }, Root);

    private Task ResetAsync() => Admin.CallAsync<ResetDeviceRequest, ResetDeviceResponse>("ResetDevice", new ResetDeviceRequest { Device = "dev0" }, Root);

    private async Task<Device> DescribeAsync()
        => Assert.Single((await Admin.CallAsync<AdminListDevicesRequest, AdminListDevicesResponse>("ListDevices", new AdminListDevicesRequest(), Root)).Devices);
}
