using System.Globalization;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Hosting.Doctor;

namespace BarBroker.Tests.Hosting.Doctor;

/// <summary>A file tree that looks like a machine on which all is well, until a test breaks something.</summary>
internal sealed class FakeMachine : IProbe, IDisposable
{
    public static readonly PciAddress Nvme = new(0, 1, 0, 0);

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("bar-broker-doctor-");

    public FakeMachine()
    {
        Write("proc/sys/kernel/osrelease", "7.3.4+deb13-amd64\n");
        Write("boot/config-7.3.4+deb13-amd64", "CONFIG_VFIO_PCI=m\nCONFIG_VFIO_PCI_DMABUF=y\n");
        Write("proc/interrupts", "  9:  0  IR-IO-APIC  9-fasteoi  acpi\n");
        Write("proc/self/uid_map", "         0          0 4294967295\n");
        Write("proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\n");
        Write("etc/group", "root:x:0:\nbar-lease:x:2001:alice\n");
        Write("dev/vfio/vfio", "", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Write("dev/vfio/7", "", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Write("dev/bar_lease", "", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.CreateDirectory(PathOf("sys/bus/pci/drivers/vfio-pci"));
        AddFunction(Nvme, group: 7, driver: "vfio-pci");
    }

    public string Root => _root.FullName;

    public Machine Machine => new(Root);

    public Exception? OpenFailure { get; set; }

    public DeviceOpenException? ModuleFailure { get; set; }

    public FunctionFacts Facts { get; set; } = new(CanExportDmaBuf: true, [new BarGeometry(0, 0x4000, [])], "its IOMMU group (/dev/vfio/7)");

    public string PathOf(string path) => Path.Combine(_root.FullName, path);

    public void Write(string path, string text, UnixFileMode? mode = null)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(path))!);
        File.WriteAllText(PathOf(path), text);
        if (mode is { } bits)
        {
            File.SetUnixFileMode(PathOf(path), bits);
        }
    }

    public void Remove(string path)
    {
        if (Directory.Exists(PathOf(path)))
        {
            Directory.Delete(PathOf(path), recursive: true);
        }
        else
        {
            File.Delete(PathOf(path));
        }
    }

    /// <summary>Adds a function, or replaces it.</summary>
    public void AddFunction(PciAddress address, int? group, string? driver)
    {
        string function = PathOf($"sys/bus/pci/devices/{address}");
        if (Directory.Exists(function))
        {
            Directory.Delete(function, recursive: true);
        }

        Directory.CreateDirectory(function);
        if (driver is not null)
        {
            File.CreateSymbolicLink(Path.Combine(function, "driver"), $"../../../../bus/pci/drivers/{driver}");
        }

        if (group is { } number)
        {
            string members = PathOf(string.Create(CultureInfo.InvariantCulture, $"sys/kernel/iommu_groups/{number}/devices"));
            Directory.CreateDirectory(Path.Combine(members, address.ToString()));
            File.CreateSymbolicLink(Path.Combine(function, "iommu_group"), string.Create(CultureInfo.InvariantCulture, $"../../../kernel/iommu_groups/{number}"));
        }
    }

    /// <summary>Gives the function a node of its own, and the machine IOMMUFD.</summary>
    public void AddIommufd(PciAddress address, string name = "vfio0")
    {
        // The number of an ordinary file, as which the node is there.
        Write($"sys/bus/pci/devices/{address}/vfio-dev/{name}/dev", "0:0\n");
        Write($"dev/vfio/devices/{name}", "", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Write("dev/iommu", "", UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    public BarLeaseInfo OpenLeaseSession() => ModuleFailure is null ? new BarLeaseInfo { ApiVersion = BarLeaseUapi.ApiVersion, MaxRanges = 1 } : throw ModuleFailure;

    public FunctionFacts OpenFunction(PciAddress address) => OpenFailure is null ? Facts : throw OpenFailure;

    public void Dispose() => _root.Delete(recursive: true);
}
