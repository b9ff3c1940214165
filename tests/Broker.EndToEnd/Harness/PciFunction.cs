using System.Diagnostics;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A PCI function of the virtual machine, as its administrator handles it.</summary>
internal sealed class PciFunction(string address)
{
    private const string Bus = "/sys/bus/pci";

    internal static PciFunction Board => new(Environment.GetEnvironmentVariable("BAR_BROKER_VM_IVSHMEM")!);

    internal static PciFunction[] All => [.. ((string[])["IVSHMEM", "EDU", "NVME"]).Select(name => new PciFunction(Environment.GetEnvironmentVariable($"BAR_BROKER_VM_{name}")!))];

    internal string Address => address;

    /// <summary>The nodes of its own. VFIO's device of a function is in sysfs on every kernel; a number it has only where there is a node for it.</summary>
    internal string[] OwnNodes
    {
        get
        {
            string directory = Path.Combine(Bus, "devices", address, "vfio-dev");
            return Directory.Exists(directory)
                ? [.. Directory.GetDirectories(directory).Where(entry => File.Exists(Path.Combine(entry, "dev"))).Select(entry => $"/dev/vfio/devices/{Path.GetFileName(entry)}")]
                : [];
        }
    }

    /// <summary>The node of its IOMMU group.</summary>
    internal string GroupNode => $"/dev/vfio/{Path.GetFileName(new FileInfo(Path.Combine(Bus, "devices", address, "iommu_group")).LinkTarget)}";

    /// <summary>All by which it can be opened.</summary>
    internal string[] Nodes => [.. OwnNodes, GroupNode];

    internal bool IsThere => Directory.Exists(Path.Combine(Bus, "devices", address));

    internal string? Driver => new FileInfo(Path.Combine(Bus, "devices", address, "driver")).LinkTarget is { } target ? Path.GetFileName(target) : null;

    /// <summary>Completes when vfio-pci has let go of it: the kernel waits for its user.</summary>
    internal Task UnbindAsync() => Task.Run(() => File.WriteAllText(Path.Combine(Bus, "drivers/vfio-pci/unbind"), address)).WaitAsync(Patience.Limit);

    /// <summary>Binds it to vfio-pci.</summary>
    internal void Bind()
    {
        File.WriteAllText(Path.Combine(Bus, "devices", address, "driver_override"), "vfio-pci");
        File.WriteAllText(Path.Combine(Bus, "drivers_probe"), address);
        Assert.Equal("vfio-pci", Driver);
    }

    /// <summary>Presses the button beside its slot. It goes some seconds later.</summary>
    internal async Task UnplugBoardAsync()
    {
        await TellMachineAsync("device_del ivshmem");
        await Patience.UntilAsync(() => !IsThere, () => "the unplugged board is still there");
    }

    /// <summary>
    /// Puts a board into the slot, with one of the memories that boot.sh names: each once a boot. Until the machine has forgotten the board
    /// before it, it refuses.
    /// </summary>
    internal async Task PlugBoardAsync(string memory)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        while (!IsThere)
        {
            limit.Token.ThrowIfCancellationRequested();
            await TellMachineAsync($"device_add ivshmem-plain,id=ivshmem,memdev={memory},bus=port1");
        }
    }

    /// <summary>Gives a command to the machine's monitor, and takes the second that it takes.</summary>
    private static async Task TellMachineAsync(string command)
    {
        using Process monitor = Process.Start(new ProcessStartInfo("/usr/bin/vm-monitor") { RedirectStandardOutput = true, ArgumentList = { command } })!;
        using CancellationTokenSource limit = new(Patience.Limit);
        await monitor.StandardOutput.ReadToEndAsync(limit.Token);
        await monitor.WaitForExitAsync(limit.Token);
    }
}
