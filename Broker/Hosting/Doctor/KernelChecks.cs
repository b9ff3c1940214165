using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;

namespace BarBroker.Hosting.Doctor;

/// <summary>What leasing a real device needs of the kernel and the platform, whatever the device.</summary>
internal sealed class KernelChecks(Machine machine, IProbe probe)
{
    /// <summary>Whether the kernel can lease at all; where it seems not to, the functions are opened and asked.</summary>
    public Finding CheckFitness(IEnumerable<PciAddress> functions)
    {
        const string Subject = "kernel";
        RunningKernel kernel = machine.Kernel;
        if (kernel.FindUnfitness(functions, CanExport) is { } unfitness)
        {
            return Finding.UnfitKernel(Subject, unfitness);
        }

        return kernel.Version is null
            ? Finding.Warning(Subject, $"the release '{kernel.Release}' is no version, so it can't be told whether its vfio-pci exports DMABUFs: name a function, and it will be asked")
            : Finding.Ok(Subject, $"Linux {kernel.Release}");
    }

    public IEnumerable<Finding> Run()
    {
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

    private bool CanExport(PciAddress function)
    {
        try
        {
            return machine.Pci.FindObstacle(function) is null && probe.OpenFunction(function).CanExportDmaBuf;
        }
        catch (Exception exception) when (exception is DeviceOpenException or UnixException or InvalidDataException)
        {
            return false;
        }
    }

    private Finding CheckVfio()
    {
        const string Subject = "vfio";
        if (!machine.Exists("/sys/bus/pci/drivers/vfio-pci"))
        {
            return Finding.Failure(Subject, "the driver vfio-pci is not loaded: modprobe vfio-pci (and name it in /etc/modules-load.d)");
        }

        return (machine.Exists(IommufdRoute.ContextPath), machine.Exists(VfioContainer.NodePath)) switch
        {
            (true, true) => Finding.Ok(Subject, "vfio-pci is loaded, with IOMMUFD and with IOMMU groups in containers"),
            (true, false) => Finding.Ok(Subject, "vfio-pci is loaded, with IOMMUFD"),
            (false, true) => Finding.Ok(Subject, "vfio-pci is loaded, with IOMMU groups in containers"),
            _ => Finding.Failure(
                Subject,
                $"there is neither {VfioContainer.NodePath} nor {IommufdRoute.ContextPath}: boot a kernel built with CONFIG_VFIO_CONTAINER or CONFIG_VFIO_DEVICE_CDEV,"
                    + " or hand the nodes in if this is a container's /dev"),
        };
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
