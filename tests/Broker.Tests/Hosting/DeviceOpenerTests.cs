using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Hosting;
using BarBroker.Policy;
using BarBroker.Tests.Grpc;
using BarBroker.Tests.Hosting.Doctor;
using BarBroker.Tests.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Hosting;

public sealed class DeviceOpenerTests : IDisposable
{
    private const string ThreeFunctions =
        """
        { "devices": {
          "dev0": { "address": "0000:01:00.0" },
          "dev1": { "address": "0000:02:00.0", "windows": { "w": { "bar": 0, "ranges": [ { "offset": 0, "length": "4KiB" }, { "offset": "12KiB", "length": "4KiB" } ] } } },
          "dev2": { "address": "0000:03:00.0", "windows": { "w": { "bar": 0, "ranges": [ { "offset": 0, "length": "4KiB" }, { "offset": "12KiB", "length": "4KiB" } ] } } } } }
        """;

    /// <summary>How long a test that fails waits for what never comes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly ImmutableArray<BarGeometry> Bars = [new BarGeometry(0, 0x4000, [Ranges.Of(0, 2, 1)])];

    private readonly FakeTimeProvider _time = new();
    private readonly TestLog _log = new();
    private readonly Dictionary<string, TaskCompletionSource<IBarDevice>> _openings = new(StringComparer.Ordinal);

    [Fact]
    public void A_window_on_the_MSI_X_table_or_past_the_BAR_stops_the_start_and_is_named()
    {
        PolicyException exception = Assert.Throws<PolicyException>(() => Check("""
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
              "good": { "bar": 0, "offset": 0, "length": "8KiB" },
              "table": { "bar": 0, "offset": "4KiB", "length": "8KiB" },
              "beyond": { "bar": 0, "offset": "12KiB", "length": "8KiB" },
              "nowhere": { "bar": 4, "offset": 0, "length": "4KiB" } } } } }
            """));

        Assert.Equal(
            [
                "policy.json:3:3: devices.nvme0.windows.table: BAR 0 0x1000+0x2000 touches the device's MSI-X table or pending bits at BAR 0 0x2000+0x1000, which are never leased: end before 0x2000 or begin at 0x3000.",
                "policy.json:4:3: devices.nvme0.windows.beyond: BAR 0 0x3000+0x2000 ends at 0x5000, beyond the BAR's size, 0x4000.",
                "policy.json:5:3: devices.nvme0.windows.nowhere: the device has no BAR 4: those that can be mapped are 0.",
            ],
            exception.Errors.Select(error => error.ToString()));
    }

    [Fact]
    public void An_area_may_cover_what_is_never_leased_but_not_go_past_the_BAR()
    {
        const string Policy = """
            { "devices": { "nvme0": { "address": "0000:01:00.0" } },
              "grants": [ { "uid": 1, "device": "nvme0", "access": "read-only", "areas": [ { "bar": 0, "offset": 0, "length": "LENGTH" } ] } ] }
            """;

        Check(Policy.Replace("LENGTH", "16KiB", StringComparison.Ordinal));
        PolicyException exception = Assert.Throws<PolicyException>(() => Check(Policy.Replace("LENGTH", "20KiB", StringComparison.Ordinal)));

        Assert.Equal("grants[0].areas[0]", Assert.Single(exception.Errors).KeyPath);
    }

    [Theory]
    [InlineData(true, new string[0])]
    [InlineData(false, new[] { "Device 'dev0' can't be mapped write-combining on this machine: every lease under grants[1], grants[2] will be refused" })]
    public async Task A_grant_of_memory_that_the_device_does_not_have_is_warned_of(bool canCombineWrites, string[] expected)
    {
        await using FakeBarDevice device = new() { CanCombineWrites = canCombineWrites };
        using TestLog log = new();
        BrokerPolicy policy = Read("""
            { "devices": { "dev0": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": 4096 } } } }, "grants": [
              { "uid": 1, "device": "dev0", "windows": ["w"], "access": "read-only" },
              { "uid": 2, "device": "dev0", "windows": ["w"], "access": "read-only", "memory": "write-combining" },
              { "uid": 3, "device": "dev0", "windows": ["w"], "access": "read-only", "memory": "write-combining" } ] }
            """);

        DeviceOpener.WarnOfMissingMemory(policy.Devices.Single(), device, log.CreateLogger("test"));

        Assert.Equal(expected, log.Entries.Select(entry => entry.Message));
    }

    [Fact]
    public async Task A_simulated_device_is_opened_as_the_policy_describes_it()
    {
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System);
        BrokerPolicy policy = Read("""{ "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } } }""");

        IBarDevice device = Assert.Single(await opener.OpenAllAsync(policy, "policy.json", TestContext.Current.CancellationToken));

        Assert.Equal(("sim0", null), (device.Name, device.Address));
        Assert.Equal([(2, 0x100000UL)], device.Bars.Select(bar => (bar.Index, bar.Size)));
    }

    [Fact]
    public async Task A_function_that_is_not_there_stops_the_start_at_its_line()
    {
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System);
        BrokerPolicy policy = Read("""{ "devices": { "nvme0": { "address": "fffe:ff:1f.7" } } }""");

        StartException exception = await Assert.ThrowsAsync<StartException>(() => opener.OpenAllAsync(policy, "policy.json", TestContext.Current.CancellationToken));

        Assert.StartsWith("policy.json:1:38: devices.nvme0.address: Device 'nvme0': ", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_kernel_that_is_too_old_stops_the_start_with_its_own_status_before_anything_else_is_missed()
    {
        using FakeMachine machine = new();
        machine.Write("proc/sys/kernel/osrelease", "6.12.41+deb13-amd64\n");
        machine.Remove("sys");
        machine.Remove("dev");
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, machine.Root);

        StartException exception = await Assert.ThrowsAsync<StartException>(
            () => opener.CheckKernelAsync(Read("""{ "devices": { "nvme0": { "address": "0000:01:00.0" } } }""")));

        Assert.Equal(ExitCodes.UnfitKernel, exception.ExitCode);
        Assert.Equal("This kernel (6.12.41+deb13-amd64) is too old: bar-broker needs Linux 6.19 or newer, whose vfio-pci exports DMABUFs (CONFIG_VFIO_PCI_DMABUF).", exception.Message);
    }

    [Fact]
    public async Task A_policy_with_simulated_devices_alone_takes_no_kernel()
    {
        using FakeMachine machine = new();
        machine.Write("proc/sys/kernel/osrelease", "6.1.0\n");
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, machine.Root);

        await opener.CheckKernelAsync(Read("""{ "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } } }"""));
    }

    [Theory]
    [InlineData("sys/bus/pci/devices/0000:01:00.0/driver", "has no driver: modprobe vfio-pci", true)]
    [InlineData("sys/bus/pci/devices/0000:01:00.0/iommu_group", "turn the IOMMU on, in the firmware (VT-d, AMD-Vi) and on the kernel's command line (intel_iommu=on for Intel)", false)]
    [InlineData("dev/bar_lease", "load the kernel module that makes it (modprobe bar_lease)", false)]
    public async Task What_is_missing_stops_the_start_with_its_cure(string path, string cure, bool isAbsent)
    {
        using FakeMachine machine = new();
        machine.Remove(path);
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, machine.Root);

        StartException exception = await Assert.ThrowsAsync<StartException>(
            () => opener.OpenAllAsync(Read("""{ "devices": { "nvme0": { "address": "0000:01:00.0" } } }"""), "policy.json", TestContext.Current.CancellationToken));

        Assert.Equal((ExitCodes.Failure, isAbsent), (exception.ExitCode, exception.IsAbsent));
        Assert.StartsWith("policy.json:1:", exception.Message, StringComparison.Ordinal);
        Assert.Contains(cure, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_sysfs_does_not_let_read_is_a_device_that_can_not_be_had()
    {
        using FakeMachine machine = new();
        machine.Remove("sys/kernel/iommu_groups/7/devices");
        File.CreateSymbolicLink(machine.PathOf("sys/kernel/iommu_groups/7/devices"), "devices");
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, machine.Root);

        StartException exception = await Assert.ThrowsAsync<StartException>(
            () => opener.OpenAllAsync(Read("""{ "devices": { "nvme0": { "address": "0000:01:00.0" } } }"""), "policy.json", TestContext.Current.CancellationToken));

        Assert.Contains("what the kernel tells of 0000:01:00.0 can't be read", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Devices_are_opened_side_by_side_and_told_in_the_order_of_the_policy()
    {
        await using DeviceOpener opener = NewOpener();
        Task<ImmutableArray<IBarDevice>> start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", TestContext.Current.CancellationToken);

        Assert.Equal(["dev0", "dev1", "dev2"], _openings.Keys.Order(StringComparer.Ordinal));
        foreach (string name in (string[])["dev2", "dev0", "dev1"])
        {
            _openings[name].SetResult(new FakeBarDevice(name));
        }

        Assert.Equal(["dev0", "dev1", "dev2"], (await start).Select(device => device.Name));
        Assert.Empty(_log.Entries);
    }

    [Fact]
    public async Task An_opening_that_hangs_is_told_and_the_start_goes_on_without_its_device()
    {
        await using DeviceOpener opener = NewOpener();
        Task<ImmutableArray<IBarDevice>> start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", TestContext.Current.CancellationToken);
        _openings["dev0"].SetResult(new FakeBarDevice("dev0"));
        _openings["dev2"].SetResult(new FakeBarDevice("dev2"));

        _time.Advance(DeviceOpener.OpenLimit - TimeSpan.FromMilliseconds(1));
        Assert.False(start.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));

        ImmutableArray<IBarDevice> devices = await start.WaitAsync(Patience, TestContext.Current.CancellationToken);
        UnopenedDevice unopened = Assert.Single(devices.OfType<UnopenedDevice>());
        Assert.Same(unopened, devices[1]);
        Assert.Equal(("dev1", new PciAddress(0, 2, 0, 0), DeviceState.Stuck), (unopened.Name, unopened.Address, unopened.Condition.State));
        Assert.Equal(
            ["Device 'dev1': the kernel has not returned from opening it for 10 s; its log may say why", "Starting without device 'dev1'; it is taken in once the kernel has returned from opening it"],
            _log.Entries.Select(entry => entry.Message));
        Assert.Equal(MemoryType.WriteCombining, unopened.MemoryTypeFor(MemoryType.WriteCombining));
        FakeBarDevice late = new("dev1");
        _openings["dev1"].SetResult(late);
        Assert.Same(late, await unopened.Opening);
    }

    [Fact]
    public async Task What_is_in_the_way_of_several_devices_is_told_together()
    {
        await using DeviceOpener opener = NewOpener();
        Task start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", TestContext.Current.CancellationToken);
        _openings["dev2"].SetException(new DeviceOpenException("Device 'dev2': it has no driver.") { IsAbsent = true });
        _openings["dev1"].SetResult(new FakeBarDevice("dev1") { MaxRanges = 1 });
        _openings["dev0"].SetException(new DeviceOpenException("Device 'dev0': another process has it."));

        StartException exception = await Assert.ThrowsAsync<StartException>(() => start);

        string[] lines = exception.Message.Split(Environment.NewLine);
        Assert.Equal(3, lines.Length);
        Assert.EndsWith("devices.dev0.address: Device 'dev0': another process has it.", lines[0], StringComparison.Ordinal);
        Assert.Contains("devices.dev1.windows.w: found 2 ranges; the bar_lease module on this machine takes at most 1", lines[1], StringComparison.Ordinal);
        Assert.EndsWith("devices.dev2.address: Device 'dev2': it has no driver.", lines[2], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_policy_that_fits_several_devices_not_is_one_that_can_not_be_right()
    {
        await using DeviceOpener opener = NewOpener();
        Task start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", TestContext.Current.CancellationToken);
        FakeBarDevice[] devices = [.. _openings.Keys.Select(name => new FakeBarDevice(name) { MaxRanges = 1 })];
        foreach (FakeBarDevice device in devices)
        {
            _openings[device.Name].SetResult(device);
        }

        PolicyException exception = await Assert.ThrowsAsync<PolicyException>(() => start);

        Assert.Equal(["devices.dev1.windows.w", "devices.dev2.windows.w"], exception.Errors.Select(error => error.KeyPath));
        Assert.Equal(["dev1", "dev2"], devices.Where(device => device.GivenBack.IsCompleted).Select(device => device.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_kernel_that_turns_out_unfit_is_all_that_is_told()
    {
        await using DeviceOpener opener = NewOpener();
        Task start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", TestContext.Current.CancellationToken);
        _openings["dev0"].SetException(new DeviceOpenException("Device 'dev0': another process has it."));
        _openings["dev1"].SetException(new UnfitKernelException("This kernel is too old."));
        _openings["dev2"].SetException(new UnfitKernelException("This kernel is too old."));

        StartException exception = await Assert.ThrowsAsync<StartException>(() => start);

        Assert.Equal((ExitCodes.UnfitKernel, "This kernel is too old."), (exception.ExitCode, exception.Message));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_start_that_is_given_up_closes_what_is_opened_too_late(bool isTold)
    {
        using CancellationTokenSource stop = new();
        await using DeviceOpener opener = NewOpener();
        Task start = opener.OpenAllAsync(Read(ThreeFunctions), "policy.json", stop.Token);
        _openings["dev2"].SetResult(new FakeBarDevice("dev2"));
        if (isTold)
        {
            await stop.CancelAsync();
        }
        else
        {
            _openings["dev1"].SetException(new DeviceOpenException("Device 'dev1': another process has it."));
            _time.Advance(DeviceOpener.OpenLimit);
        }

        Exception exception = await Assert.ThrowsAnyAsync<Exception>(() => start.WaitAsync(Patience, TestContext.Current.CancellationToken));

        Assert.IsType(isTold ? typeof(OperationCanceledException) : typeof(StartException), exception);
        Assert.Contains(_log.Entries, entry => entry.Message.StartsWith("Stopping while device 'dev0' is being opened", StringComparison.Ordinal));
        FakeBarDevice late = new();
        _openings["dev0"].SetResult(late);
        await late.GivenBack.WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_is_opened_after_the_opener_was_closed_is_closed_at_once()
    {
        DeviceOpener opener = NewOpener();
        Task<IBarDevice> opening = opener.OpenAsync(Read(ThreeFunctions).Devices.First(), "policy.json");
        await opener.DisposeAsync();
        FakeBarDevice late = new();

        Assert.Single(_openings.Values).SetResult(late);

        await Assert.ThrowsAsync<ObjectDisposedException>(() => opening.WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.True(late.GivenBack.IsCompleted);
    }

    [Fact]
    public void Each_range_of_a_window_must_fit_the_device()
    {
        PolicyException exception = Assert.Throws<PolicyException>(() => Check("""
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
              "table": { "bar": 0, "ranges": [ { "offset": 0, "length": "4KiB" }, { "offset": "8KiB", "length": "4KiB" } ] } } } } }
            """));

        Assert.StartsWith("policy.json:2:3: devices.nvme0.windows.table: BAR 0 0x2000+0x1000 touches", Assert.Single(exception.Errors).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_with_more_ranges_than_the_module_takes_stops_the_start()
    {
        const string Policy = """
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
              "w": { "bar": 0, "ranges": [ { "offset": 0, "length": "4KiB" }, { "offset": "12KiB", "length": "4KiB" } ] } } } } }
            """;

        Check(Policy, maxRanges: 2);
        PolicyException exception = Assert.Throws<PolicyException>(() => Check(Policy, maxRanges: 1));

        Assert.StartsWith(
            "policy.json:2:3: devices.nvme0.windows.w: found 2 ranges; the bar_lease module on this machine takes at most 1 in a lease.",
            Assert.Single(exception.Errors).ToString(),
            StringComparison.Ordinal);
    }

    public void Dispose() => _log.Dispose();

    /// <summary>Has functions opened when the test says so: with that, whatever follows from it has happened too.</summary>
    private DeviceOpener NewOpener() => new(_log, _time) { OpenFunction = (name, _) => (_openings[name] = new TaskCompletionSource<IBarDevice>()).Task };

    private static void Check(string policy, int maxRanges = RangeList.MaxCount)
    {
        PolicyErrors errors = new("policy.json");
        DeviceOpener.CheckGeometry(Read(policy).Devices.Single(), Bars, maxRanges, errors);
        errors.ThrowIfAny();
    }

    private static BrokerPolicy Read(string policy) => PolicyReader.Read(System.Text.Encoding.UTF8.GetBytes(policy), "policy.json");
}
