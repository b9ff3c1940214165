using System.Globalization;

namespace BarBroker.Devices.Vfio;

/// <summary>Functions out of their IOMMU groups, which are in a container: the older way, and the only one before Linux 6.6.</summary>
/// <param name="sysfs">Knows the groups.</param>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed class VfioGroupRoute(PciSysfs sysfs, string root = "/") : IVfioRoute
{
    private const string NoGroup = "it is in no IOMMU group any more, so it is being unplugged or unbound";

    private readonly Lock _lock = new();
    private VfioContainer? _container;

    /// <inheritdoc/>
    public RouteObstacle? FindObstacle(PciAddress address)
    {
        if (sysfs.IommuGroupOf(address) is null)
        {
            // Without a number the path would be that of the directory, which is there.
            return new RouteObstacle(NoGroup, OfKernel: false);
        }

        string container = VfioContainer.NodePath;
        string group = GroupNode(address);
        return (Exists(container), Exists(group)) switch
        {
            (true, true) => null,
            (false, false) => new RouteObstacle($"there is no {container}: this kernel is built without CONFIG_VFIO_GROUP and CONFIG_VFIO_CONTAINER", OfKernel: true),
            (false, true) => new RouteObstacle($"there is no {container}: this kernel is built without CONFIG_VFIO_CONTAINER", OfKernel: true),
            (true, false) => new RouteObstacle($"there is no {group}: VFIO's no-IOMMU mode is refused, as nothing would confine the device", OfKernel: false),
        };
    }

    /// <inheritdoc/>
    public bool HoldsGroup(int group)
    {
        lock (_lock)
        {
            return _container?.HoldsGroup(group) == true;
        }
    }

    /// <inheritdoc/>
    public string Describe(PciAddress address) => $"its IOMMU group ({GroupNode(address)})";

    /// <inheritdoc/>
    public VfioFunction OpenFunction(PciAddress address)
    {
        int group = sysfs.IommuGroupOf(address) ?? throw new DeviceOpenException($"{address} can't be opened: {NoGroup}.");
        lock (_lock)
        {
            _container ??= new VfioContainer();
        }

        return _container.OpenFunction(address, group);
    }

    /// <inheritdoc/>
    public void Dispose() => _container?.Dispose();

    private string GroupNode(PciAddress address) => string.Create(CultureInfo.InvariantCulture, $"/dev/vfio/{sysfs.IommuGroupOf(address)}");

    private bool Exists(string path) => Path.Exists(Path.Combine(root, path[1..]));
}
