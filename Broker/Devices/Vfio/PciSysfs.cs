using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Devices.Vfio;

/// <summary>What sysfs tells about PCI functions and their IOMMU groups.</summary>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed partial class PciSysfs(string root = "/")
{
    private const string VfioPci = "vfio-pci";

    /// <summary>Drivers whose devices don't make a group unviable for VFIO, apart from its own: they do no DMA for the host.</summary>
    private static readonly ImmutableArray<string> HarmlessDrivers = [VfioPci, "pci-stub", "pcieport"];

    public bool Exists(PciAddress address) => Directory.Exists(FunctionPath(address));

    /// <summary>The name of the function's driver; null when it has none.</summary>
    public string? DriverOf(PciAddress address) => LinkTargetName(Path.Combine(FunctionPath(address), "driver"));

    /// <summary>VFIO has the function.</summary>
    public bool IsBound(PciAddress address) => DriverOf(address) == VfioPci;

    /// <summary>The number of the function's IOMMU group; null when it has none.</summary>
    public int? IommuGroupOf(PciAddress address)
        => int.TryParse(LinkTargetName(Path.Combine(FunctionPath(address), "iommu_group")), NumberStyles.None, CultureInfo.InvariantCulture, out int group)
            ? group
            : null;

    /// <summary>
    /// The name of the function's own VFIO device, which has a node in /dev/vfio/devices; null where the kernel offers none,
    /// or only one without an IOMMU.
    /// </summary>
    public string? VfioDeviceOf(PciAddress address)
        => EntriesOf(Path.Combine(FunctionPath(address), "vfio-dev")).FirstOrDefault(name => VfioDeviceName().IsMatch(name));

    /// <summary>The number of that device's node, <c>major:minor</c>; null when there is none any more.</summary>
    public string? VfioDeviceNumberOf(PciAddress address)
    {
        try
        {
            return VfioDeviceOf(address) is { } name ? File.ReadAllText(Path.Combine(FunctionPath(address), "vfio-dev", name, "dev")).Trim() : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>All IOMMU groups.</summary>
    public ImmutableArray<int> IommuGroups()
        => [.. EntriesOf(Path.Combine(root, "sys/kernel/iommu_groups")).Select(name => int.Parse(name, CultureInfo.InvariantCulture)).Order()];

    /// <summary>The PCI functions of a group.</summary>
    public ImmutableArray<PciAddress> GroupMembers(int group)
    {
        string path = Path.Combine(root, string.Create(CultureInfo.InvariantCulture, $"sys/kernel/iommu_groups/{group}/devices"));
        ImmutableArray<PciAddress>.Builder members = ImmutableArray.CreateBuilder<PciAddress>();
        foreach (string entry in EntriesOf(path).Order(StringComparer.Ordinal))
        {
            if (PciAddress.TryParse(entry, out PciAddress member))
            {
                members.Add(member);
            }
        }

        return members.ToImmutable();
    }

    /// <summary>
    /// Why VFIO can't be given the function, with the cure; null when nothing of that is in the way. The kernel has the
    /// last word (VFIO_GROUP_GET_STATUS), but says only no.
    /// </summary>
    public string? FindObstacle(PciAddress address)
    {
        if (!Exists(address))
        {
            return $"There is no PCI function {address}: lspci -D lists what there is.";
        }

        string? driver = DriverOf(address);
        if (driver != VfioPci)
        {
            string found = driver is null ? "has no driver" : $"is bound to {driver}, not vfio-pci; if the host can do without it (a disk, a network card)";
            string unbind = driver is null ? "" : $" && echo {address} > /sys/bus/pci/devices/{address}/driver/unbind";
            return $"{address} {found}: modprobe vfio-pci && echo vfio-pci > /sys/bus/pci/devices/{address}/driver_override{unbind} && echo {address} > /sys/bus/pci/drivers_probe";
        }

        if (IommuGroupOf(address) is not { } group)
        {
            return $"{address} is in no IOMMU group: turn the IOMMU on, in the firmware (VT-d, AMD-Vi) and on the kernel's command line (intel_iommu=on for Intel).";
        }

        return FindGroupObstacle(address, group);
    }

    private string? FindGroupObstacle(PciAddress address, int group)
    {
        List<string> busy = [];
        foreach (PciAddress member in GroupMembers(group))
        {
            if (DriverOf(member) is { } driver && !HarmlessDrivers.Contains(driver))
            {
                busy.Add($"{member} ({driver})");
            }
        }

        return busy.Count == 0
            ? null
            : $"{address} shares IOMMU group {group} with functions that the host uses: {string.Join(", ", busy)}. They can't be told apart by the IOMMU, so unbind them or bind them to vfio-pci too.";
    }

    /// <summary>The names in a directory; none when it is not there, or goes away while it is read.</summary>
    private static string[] EntriesOf(string directory)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(directory).Select(path => Path.GetFileName(path))];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private static string? LinkTargetName(string link)
        => new FileInfo(link).LinkTarget is { } target ? Path.GetFileName(target) : null;

    [GeneratedRegex("^vfio[0-9]+\\z")]
    private static partial Regex VfioDeviceName();

    private string FunctionPath(PciAddress address) => Path.Combine(root, $"sys/bus/pci/devices/{address}");
}
