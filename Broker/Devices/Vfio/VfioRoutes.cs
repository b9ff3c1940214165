using System.Collections.Concurrent;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// Both ways to have functions from VFIO, and the choice between them: IOMMUFD where the function's node and the context can be
/// opened, as the kernel's developers mean it to replace the other; the IOMMU group otherwise.
/// </summary>
internal sealed class VfioRoutes(PciSysfs sysfs, IVfioRoute iommufd, IVfioRoute group) : IDisposable
{
    private const int NoGroup = -1;

    private readonly ConcurrentDictionary<int, Lock> _locks = new();

    public VfioRoutes(PciSysfs sysfs, string root = "/")
        : this(sysfs, new IommufdRoute(sysfs, root), new VfioGroupRoute(sysfs, root))
    {
    }

    /// <summary>Opens the function at <paramref name="address"/>, for which <see cref="PciSysfs.FindObstacle"/> found nothing.</summary>
    /// <returns>The function, which the caller disposes before this, and how it was opened.</returns>
    /// <exception cref="DeviceOpenException">It can't be had.</exception>
    /// <exception cref="UnixException">The kernel refused the function itself.</exception>
    public (VfioFunction Function, RouteChoice Choice) Open(PciAddress address)
    {
        // One of a group at a time, so that two don't go different ways. A reset that hangs holds up its own group only.
        lock (_locks.GetOrAdd(sysfs.IommuGroupOf(address) ?? NoGroup, _ => new Lock()))
        {
            RouteChoice choice = Choose(address);
            return (choice.Route.OpenFunction(address), choice);
        }
    }

    /// <summary>Call it when all functions are closed.</summary>
    public void Dispose()
    {
        iommufd.Dispose();
        group.Dispose();
    }

    private RouteChoice Choose(PciAddress address)
    {
        RouteObstacle? noIommufd = iommufd.FindObstacle(address);
        RouteObstacle? noGroup = group.FindObstacle(address);
        if (sysfs.IommuGroupOf(address) is { } number)
        {
            if (group.HoldsGroup(number))
            {
                noIommufd = new RouteObstacle("another function of the group is open through it", OfKernel: false);
            }
            else if (iommufd.HoldsGroup(number))
            {
                noGroup = new RouteObstacle("another function of the group is open with IOMMUFD", OfKernel: false);
            }
        }

        return (noIommufd, noGroup) switch
        {
            (null, null) => new RouteChoice(iommufd, $"{iommufd.Describe(address)}; {group.Describe(address)} would do as well"),
            (null, _) => new RouteChoice(iommufd, $"{iommufd.Describe(address)}; not {group.Describe(address)}, as {noGroup.Text}"),
            (_, null) => new RouteChoice(group, $"{group.Describe(address)}; not its own node and IOMMUFD, as {noIommufd.Text}"),
            ({ OfKernel: true }, _) => throw new DeviceOpenException($"{address} can't be opened: {noGroup.Text}."),
            (_, { OfKernel: true }) => throw new DeviceOpenException($"{address} can't be opened: {noIommufd.Text}."),
            _ => throw new DeviceOpenException($"{address} can be opened neither by a node of its own ({noIommufd.Text}) nor through its IOMMU group ({noGroup.Text})."),
        };
    }
}
