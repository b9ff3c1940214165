using System.Diagnostics;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A PCI function of the virtual machine, as its administrator handles it.</summary>
internal sealed class PciFunction(string address)
{
    private const string Bus = "/sys/bus/pci";

    internal static PciFunction Board => new(Environment.GetEnvironmentVariable("BAR_BROKER_VM_IVSHMEM")!);

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
    internal static Task UnplugBoardAsync() => TellMachineAsync("device_del ivshmem");

    /// <summary>Puts a board with the same memory into the slot: once a boot. Until the machine has forgotten the one before it, it refuses.</summary>
    internal async Task PlugBoardAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        while (!IsThere)
        {
            limit.Token.ThrowIfCancellationRequested();
            await TellMachineAsync("device_add ivshmem-plain,id=ivshmem,memdev=bar2-again,bus=port1");
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
