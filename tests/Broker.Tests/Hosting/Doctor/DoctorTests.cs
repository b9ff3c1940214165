using BarBroker.Commands;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Hosting;
using BarBroker.Hosting.Doctor;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Hosting.Doctor;

public sealed class DoctorTests : IDisposable
{
    private readonly FakeMachine _machine = new();

    [Fact]
    public void A_healthy_machine_has_nothing_in_the_way()
    {
        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(0, status);
        Assert.All(output.Split('\n', StringSplitOptions.RemoveEmptyEntries)[..^1], line => Assert.StartsWith("ok   ", line, StringComparison.Ordinal));
        Assert.Contains("Nothing is in the way, 0 warning(s).", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("6.18.44-generic")]
    [InlineData("5.10.0")]
    public void A_kernel_that_is_too_old_is_all_that_is_said_and_has_an_exit_status_of_its_own(string release)
    {
        _machine.Write("proc/sys/kernel/osrelease", release + "\n");
        _machine.Remove("etc/group");
        _machine.ModuleFailure = new DeviceOpenException("There is none.");
        _machine.OpenFailure = new DeviceOpenException("It can't be opened.");

        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(ExitCodes.UnfitKernel, status);
        Assert.Equal(
            $"FAIL kernel        This kernel ({release}) is too old: bar-broker needs Linux 6.19 or newer, whose vfio-pci exports DMABUFs (CONFIG_VFIO_PCI_DMABUF).\n"
                + "1 thing(s) in the way, 0 warning(s).\n",
            output);
    }

    [Fact]
    public void A_kernel_with_an_old_number_whose_VFIO_can_export_all_the_same_is_fit()
    {
        _machine.Write("proc/sys/kernel/osrelease", "5.14.0-700.el9\n");

        Assert.Equal(0, Examine(FakeMachine.Nvme).Status);
    }

    [Theory]
    [InlineData("6.19.0-rc1")]
    [InlineData("7.0")]
    [InlineData("10.1-custom+")]
    public void A_kernel_that_is_new_enough_is_not(string release)
    {
        _machine.Write("proc/sys/kernel/osrelease", release + "\n");

        Assert.Equal(0, Examine(FakeMachine.Nvme).Status);
    }

    [Fact]
    public void A_kernel_built_without_the_export_is_in_the_way()
    {
        _machine.Write("boot/config-7.3.4+deb13-amd64", "CONFIG_VFIO_PCI=m\n# CONFIG_VFIO_PCI_DMABUF is not set\n");
        _machine.Facts = _machine.Facts with { CanExportDmaBuf = false };

        AssertFails("kernel", "built without CONFIG_VFIO_PCI_DMABUF", ExitCodes.UnfitKernel);
    }

    [Theory]
    [InlineData("sys/bus/pci/drivers/vfio-pci", "vfio", "modprobe vfio-pci")]
    [InlineData("dev/vfio/vfio", "vfio", "CONFIG_VFIO_DEVICE_CDEV")]
    [InlineData("sys/kernel/iommu_groups", "iommu", "intel_iommu=on")]
    [InlineData("etc/group", "group", "groupadd --system bar-lease")]
    [InlineData("sys/bus/pci/devices/0000:01:00.0", "0000:01:00.0", "lspci -D")]
    public void What_is_missing_is_in_the_way_and_its_cure_is_named(string path, string subject, string cure)
    {
        _machine.Remove(path);

        AssertFails(subject, cure);
    }

    [Fact]
    public void A_kernel_with_IOMMUFD_only_will_do()
    {
        _machine.Remove("dev/vfio/vfio");
        _machine.Remove("dev/vfio/7");
        _machine.AddIommufd(FakeMachine.Nvme);

        Assert.Equal(0, Examine(FakeMachine.Nvme).Status);
    }

    [Fact]
    public void How_a_function_is_opened_is_told()
    {
        _machine.Facts = _machine.Facts with { Route = "its own node (/dev/vfio/devices/vfio0) and IOMMUFD" };

        Assert.Contains("ok   0000:01:00.0  opened by its own node (/dev/vfio/devices/vfio0) and IOMMUFD\n", Examine(FakeMachine.Nvme).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_user_namespace_is_in_the_way()
    {
        _machine.Write("proc/self/uid_map", "         0       1000          1\n");

        AssertFails("users", "PrivateUsers=");
    }

    [Fact]
    public void A_kernel_without_user_namespaces_is_fine()
    {
        _machine.Remove("proc/self/uid_map");

        Assert.Equal(0, Examine(FakeMachine.Nvme).Status);
    }

    [Fact]
    public void The_module_s_absence_is_in_the_way()
    {
        _machine.ModuleFailure = new DeviceOpenException("There is no /dev/bar_lease: modprobe bar_lease.");

        AssertFails("bar_lease", "modprobe bar_lease");
    }

    [Theory]
    [InlineData("dev/bar_lease")]
    [InlineData("dev/vfio/7")]
    [InlineData("dev/vfio/devices/vfio0")]
    public void A_device_node_that_everybody_may_open_is_in_the_way(string node)
    {
        _machine.AddIommufd(FakeMachine.Nvme);
        _machine.Write(node, "", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherWrite);

        AssertFails("access", $"chmod o-rw /{node}");
    }

    [Fact]
    public void Another_driver_is_in_the_way()
    {
        _machine.AddFunction(FakeMachine.Nvme, group: 7, driver: "nvme");

        AssertFails("0000:01:00.0", "is bound to nvme, not vfio-pci; if the host can do without it (a disk, a network card): modprobe vfio-pci && echo vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override"
            + " && echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind && echo 0000:01:00.0 > /sys/bus/pci/drivers_probe");
    }

    [Fact]
    public void No_driver_is_in_the_way_and_there_is_nothing_to_unbind()
    {
        _machine.AddFunction(FakeMachine.Nvme, group: 7, driver: null);

        string output = AssertFails("0000:01:00.0", "has no driver");
        Assert.DoesNotContain("unbind", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_without_an_IOMMU_group_is_in_the_way()
    {
        _machine.AddFunction(FakeMachine.Nvme, group: null, driver: "vfio-pci");

        AssertFails("0000:01:00.0", "is in no IOMMU group");
    }

    [Fact]
    public void A_group_that_the_host_uses_is_in_the_way_and_the_function_is_named()
    {
        _machine.AddFunction(new PciAddress(0, 1, 0, 1), group: 7, driver: "snd_hda_intel");

        AssertFails("0000:01:00.0", "0000:01:00.1 (snd_hda_intel)");
    }

    [Theory]
    [InlineData("vfio-pci")]
    [InlineData("pcieport")]
    [InlineData(null)]
    public void A_group_shared_with_what_the_host_does_not_use_is_fine(string? driver)
    {
        _machine.AddFunction(new PciAddress(0, 1, 0, 1), group: 7, driver);

        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(0, status);
        Assert.Contains("0000:01:00.1", output, StringComparison.Ordinal);
    }

    [Fact]
    public void What_opening_the_function_says_is_in_the_way()
    {
        _machine.OpenFailure = new DeviceOpenException("VFIO refuses its IOMMU backend: turn interrupt remapping on.");
        AssertFails("0000:01:00.0", "turn interrupt remapping on");

        _machine.OpenFailure = new InvalidDataException("the list of capabilities is a loop");
        AssertFails("0000:01:00.0", "is a loop");

        _machine.OpenFailure = new UnixException("VFIO_GROUP_GET_DEVICE_FD", 19);
        AssertFails("0000:01:00.0", "VFIO_GROUP_GET_DEVICE_FD");
    }

    [Fact]
    public void A_function_in_use_is_a_warning()
    {
        _machine.OpenFailure = new DeviceOpenException("busy", new UnixException("open /dev/vfio/7", 16)) { IsInUse = true };

        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(0, status);
        Assert.Contains("warn 0000:01:00.0  in use", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_that_can_not_be_exported_or_has_nothing_to_lease_is_in_the_way()
    {
        _machine.Facts = _machine.Facts with { CanExportDmaBuf = false };
        AssertFails("0000:01:00.0", "can't export", ExitCodes.UnfitKernel);

        _machine.Facts = _machine.Facts with { CanExportDmaBuf = true, Bars = [] };
        AssertFails("0000:01:00.0", "no BAR that can be mapped");
    }

    [Fact]
    public void BARs_are_shown_with_what_can_not_be_leased_of_them()
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, 0x2000, 0x1000, out BarRange table));
        _machine.Facts = _machine.Facts with { Bars = [new BarGeometry(0, 0x4000, [table])] };

        Assert.Contains("BAR 0: 0x4000 bytes, without 0x2000+0x1000 (MSI-X)", Examine(FakeMachine.Nvme).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n", "interrupts")]
    [InlineData("proc/interrupts", "  9:  0  IO-APIC  9-fasteoi  acpi\n", "interrupts")]
    [InlineData("proc/self/limits", "Max open files            1024                 4096                 files\n", "descriptors")]
    [InlineData("proc/self/limits", "", "descriptors")]
    [InlineData("proc/sys/kernel/osrelease", "mainline\n", "kernel")]
    public void What_is_only_weaker_than_it_could_be_is_a_warning(string path, string text, string subject)
    {
        _machine.Write(path, text);

        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(0, status);
        Assert.Contains($"\nwarn {subject}", "\n" + output, StringComparison.Ordinal);
        Assert.Contains(" 1 warning(s).", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(511, 1)]
    [InlineData(512, 0)]
    public void Fewer_descriptors_than_a_broker_takes_are_in_the_way(int hard, int expected)
    {
        _machine.Write("proc/self/limits", $"Max open files            256                 {hard}                 files\n");

        (int status, string output) = Examine(FakeMachine.Nvme);

        Assert.Equal(expected, status);
        Assert.Contains($"may have {hard} descriptors", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_with_simulated_devices_alone_needs_neither_VFIO_nor_the_module()
    {
        _machine.Remove("sys");
        _machine.Remove("dev");
        _machine.ModuleFailure = new DeviceOpenException("There is none.");
        string policy = WritePolicy("""{ "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } }, "grants": [] }""");

        Assert.Equal(0, Examine(policy).Status);
    }

    [Fact]
    public void A_policy_says_which_functions_and_which_group_to_look_at()
    {
        string policy = WritePolicy("""{ "clientGroup": "gpu-users", "devices": { "nvme0": { "address": "0000:01:00.0" } }, "grants": [] }""");

        (int status, string output) = Examine(policy, FakeMachine.Nvme);

        Assert.Equal(1, status);
        Assert.Contains("groupadd --system gpu-users", output, StringComparison.Ordinal);
        Assert.Single(output.Split("bound to vfio-pci")[1..]);
    }

    [Fact]
    public void What_does_not_fit_a_functions_BARs_is_in_the_way_and_found_in_the_policy()
    {
        string policy = WritePolicy(
            """
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
                "fits": { "bar": 0, "offset": "0x3000", "length": "4KiB" },
                "beyond": { "bar": 0, "offset": "0x3000", "length": "8KiB" } } } },
              "grants": [] }
            """);

        (int status, string output) = Examine(policy);

        Assert.Equal(1, status);
        string line = Assert.Single(output.Split('\n'), line => line.StartsWith("FAIL", StringComparison.Ordinal));
        Assert.Matches($"{policy}:3:[0-9]+: devices.nvme0.windows.beyond: ", line);
        Assert.Contains("beyond the BAR's size, 0x4000", line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_runtime_directory_that_others_can_write_is_in_the_way()
    {
        Directory.CreateDirectory(_machine.PathOf("run/shared"));
        File.SetUnixFileMode(_machine.PathOf("run/shared"), (UnixFileMode)0b111_111_111);
        string policy = WritePolicy("""{ "runtimeDirectory": "/run/shared", "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } }, "grants": [] }""");

        (int status, string output) = Examine(policy);

        Assert.Equal(1, status);
        Assert.Contains("FAIL sockets", output, StringComparison.Ordinal);
        Assert.Contains("chmod go-w", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_of_the_policy_that_is_not_found_by_its_id_is_in_the_way()
    {
        string policy = WritePolicy("""{ "devices": { "nvme0": { "id": "8086:0a54" } } }""");

        (int status, string output) = Examine(policy);

        Assert.Equal(1, status);
        Assert.Contains("FAIL 8086:0a54     There is no PCI function 8086:0a54: lspci -Dn lists what there is.", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_policy_that_can_not_be_read_is_bad_input()
    {
        Assert.Equal(2, Examine(_machine.PathOf("missing.json")).Status);
    }

    [Fact]
    public void An_address_without_its_domain_is_refused_with_its_right_form()
    {
        System.CommandLine.ParseResult parsed = DoctorCommand.Create().Parse(["01:00.0"]);

        Assert.Contains("0000:01:00.0", Assert.Single(parsed.Errors).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _machine.Dispose();

    private string WritePolicy(string text)
    {
        _machine.Write("policy.json", text, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return _machine.PathOf("policy.json");
    }

    private string AssertFails(string subject, string cure, int expected = ExitCodes.Failure)
    {
        (int status, string output) = Examine(FakeMachine.Nvme);
        Assert.Equal(expected, status);
        Assert.Contains(output.Split('\n'), line => line.StartsWith($"FAIL {subject} ", StringComparison.Ordinal) && line.Contains(cure, StringComparison.Ordinal));
        return output;
    }

    private (int Status, string Output) Examine(params PciAddress[] functions) => Examine(null, functions);

    private (int Status, string Output) Examine(string? policy, params PciAddress[] functions)
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        int status = DoctorCommand.Run(policy, functions, _machine.Machine, _machine, output, errors);
        return (status, output.ToString());
    }
}
