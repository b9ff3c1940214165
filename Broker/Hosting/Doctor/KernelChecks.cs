using BarBroker.Devices.Vfio;

namespace BarBroker.Hosting.Doctor;

/// <summary>What leasing a real device needs of the kernel and the platform, whatever the device.</summary>
internal sealed class KernelChecks(Machine machine, IProbe probe)
{
    private static readonly Version FirstWithExport = new(6, 19);

    public IEnumerable<Finding> Run()
    {
        yield return CheckVersion();
        yield return CheckVfio();
        yield return CheckIommu();
        if (CheckInterrupts() is { } interrupts)
        {
            yield return interrupts;
        }

        foreach (Finding finding in CheckModule())
        {
            yield return finding;
        }
    }

    private Finding CheckVersion()
    {
        const string Subject = "kernel";
        string release = machine.ReadLine("/proc/sys/kernel/osrelease");
        string[] numbers = release.Split('.', '-', '+');
        if (numbers.Length < 2 || !Version.TryParse($"{numbers[0]}.{numbers[1]}", out Version? version))
        {
            return Finding.Warning(Subject, $"the release '{release}' is no version; vfio-pci exports BARs as DMABUFs since Linux {FirstWithExport}: see whether yours does");
        }

        if (version < FirstWithExport)
        {
            return Finding.Failure(Subject, $"Linux {release} can't export BARs as DMABUFs, which vfio-pci does since {FirstWithExport}: boot {FirstWithExport} or newer");
        }

        string[] configuration = machine.ReadLines($"/boot/config-{release}");
        return configuration.Length > 0 && !configuration.Contains("CONFIG_VFIO_PCI_DMABUF=y")
            ? Finding.Failure(Subject, $"Linux {release} is built without CONFIG_VFIO_PCI_DMABUF, so vfio-pci can't export BARs: boot a kernel that has it (it needs CONFIG_PCI_P2PDMA)")
            : Finding.Ok(Subject, $"Linux {release}");
    }

    private Finding CheckVfio()
    {
        const string Subject = "vfio";
        if (!machine.Exists("/sys/bus/pci/drivers/vfio-pci"))
        {
            return Finding.Failure(Subject, "the driver vfio-pci is not loaded: modprobe vfio-pci (and name it in /etc/modules-load.d)");
        }

        if (machine.Exists(VfioContainer.NodePath))
        {
            return Finding.Ok(Subject, "vfio-pci is loaded");
        }

        return machine.Exists("/dev/iommu")
            ? Finding.Failure(Subject, $"this kernel offers VFIO through IOMMUFD only, there is no {VfioContainer.NodePath}: boot one built with CONFIG_VFIO_GROUP and CONFIG_VFIO_CONTAINER")
            : Finding.Failure(Subject, $"there is no {VfioContainer.NodePath}: modprobe vfio");
    }

    private Finding CheckIommu()
    {
        const string Subject = "iommu";
        int groups = machine.Pci.IommuGroups().Length;
        return groups > 0
            ? Finding.Ok(Subject, $"on, {groups} group(s)")
            : Finding.Failure(Subject, "there are no IOMMU groups: turn the IOMMU on in the firmware (VT-d, AMD-Vi), and for Intel with intel_iommu=on on the kernel's command line");
    }

    private Finding? CheckInterrupts()
    {
        const string Subject = "interrupts";
        if (machine.ReadLine("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts") is "Y" or "1")
        {
            return Finding.Warning(Subject, "vfio_iommu_type1 allows unsafe interrupts, so a leased device can forge others': remove allow_unsafe_interrupts=1 and turn interrupt remapping on in the firmware");
        }

        string[] lines = machine.ReadLines("/proc/interrupts");
        if (!lines.Any(line => line.Contains("IO-APIC", StringComparison.Ordinal)))
        {
            // Not a PC: the interrupt controller isolates devices, or VFIO says no.
            return null;
        }

        // The kernel writes IR- before the name of every controller whose interrupts are remapped.
        return lines.Any(line => line.Contains(" IR-", StringComparison.Ordinal))
            ? Finding.Ok(Subject, "remapped")
            : Finding.Warning(Subject, "they don't seem to be remapped, and VFIO then refuses its IOMMU backend: turn interrupt remapping (x2APIC, VT-d) on in the firmware");
    }

    private IEnumerable<Finding> CheckModule()
    {
        const string Subject = "bar_lease";
        Finding opened;
        try
        {
            BarLeaseInfo info = probe.OpenLeaseSession();
            opened = Finding.Ok(Subject, $"loaded, API version {info.ApiVersion}, {info.MaxRanges} range(s) per lease");
        }
        catch (DeviceOpenException exception)
        {
            opened = Finding.Failure(Subject, exception.Message);
        }

        yield return opened;
        if (NodeCheck.Run(machine, LeaseSession.NodePath) is { } node)
        {
            yield return node;
        }
    }
}
