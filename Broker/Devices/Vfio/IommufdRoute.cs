using System.Runtime.CompilerServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// Functions by nodes of their own, bound to one IOMMUFD context. No address space is ever attached to them: an export needs
/// none, and without one the kernel keeps them from all memory.
/// </summary>
/// <param name="sysfs">Knows the functions' nodes.</param>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed class IommufdRoute(PciSysfs sysfs, string root = "/") : IVfioRoute
{
    public const string ContextPath = "/dev/iommu";

    private readonly Lock _lock = new();
    private readonly Dictionary<PciAddress, int?> _open = [];
    private OwnedDescriptor? _context;

    /// <inheritdoc/>
    public RouteObstacle? FindObstacle(PciAddress address)
    {
        if (sysfs.VfioDeviceNumberOf(address) is null)
        {
            return new RouteObstacle("this kernel gives VFIO's functions no nodes of their own, for which it takes CONFIG_VFIO_DEVICE_CDEV", OfKernel: true);
        }

        return FindObstacle(ContextPath, "modprobe iommufd") ?? FindObstacle(DeviceNode(address), "see why udev does not make it");
    }

    /// <inheritdoc/>
    public bool HoldsGroup(int group)
    {
        lock (_lock)
        {
            return _open.ContainsValue(group);
        }
    }

    /// <inheritdoc/>
    public string Describe(PciAddress address) => $"its own node ({DeviceNode(address)}) and IOMMUFD";

    /// <inheritdoc/>
    public VfioFunction OpenFunction(PciAddress address)
    {
        lock (_lock)
        {
            _context ??= Open(ContextPath);
            if (!_open.TryAdd(address, sysfs.IommuGroupOf(address)))
            {
                throw new DeviceOpenException($"{address} is open already, under another name: a function is one device.");
            }
        }

        // Not under the lock: others can be closed while the kernel resets this one.
        try
        {
            return new VfioFunction(OpenAndBind(address, _context), address, () => Leave(address));
        }
        catch
        {
            Leave(address);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _context?.Dispose();

    /// <summary>What the refusal of VFIO_DEVICE_BIND_IOMMUFD means.</summary>
    internal static Exception ToOpenFailure(PciAddress address, UnixException exception)
    {
        return exception.Errno switch
        {
            Errno.Busy => new DeviceOpenException($"Another process has the IOMMU group of {address}: VFIO gives a group to one at a time (fuser -v /dev/vfio/* shows which).", exception) { IsInUse = true },
            Errno.InvalidArgument => new DeviceOpenException($"Another process has {address}: VFIO gives it to one at a time (fuser -v /dev/vfio/devices/* shows which).", exception) { IsInUse = true },
            Errno.NotPermitted => new DeviceOpenException(
                $"IOMMUFD refuses {address} ({exception.Message}): another process has a function of its IOMMU group, or the platform does not remap interrupts, so that the device could forge them;"
                    + " turn interrupt remapping on in the firmware (allow_unsafe_interrupts=1 of iommufd gives that protection up).",
                exception),
            _ => exception,
        };
    }

    private static void Bind(OwnedDescriptor device, OwnedDescriptor context)
    {
        bool held = false;
        try
        {
            context.DangerousAddRef(ref held);
            VfioDeviceBindIommufd bind = new()
            {
                Argsz = (uint)Unsafe.SizeOf<VfioDeviceBindIommufd>(),
                Iommufd = (int)context.DangerousGetHandle(),
            };
            Ioctl.Call(device, VfioUapi.DeviceBindIommufd, ref bind, "VFIO_DEVICE_BIND_IOMMUFD");
        }
        finally
        {
            if (held)
            {
                context.DangerousRelease();
            }
        }
    }

    private static string CureOf(string path, UnixException exception, string cureIfMissing) => exception.Errno switch
    {
        Errno.NoEntry or Errno.NoDevice => $"there is no {path}: {cureIfMissing}",
        Errno.AccessDenied or Errno.NotPermitted => $"{path} may not be opened: it must belong to the broker's user or group (chown, or a udev rule)",
        _ => $"{path} can't be opened ({exception.Message}): see the kernel's log",
    };

    private OwnedDescriptor OpenAndBind(PciAddress address, OwnedDescriptor context)
    {
        string node = DeviceNode(address);
        OwnedDescriptor device = Open(node);
        try
        {
            // Nodes are numbered as functions are bound, so this one may have become another function's. From here on it can't: an open
            // node keeps its function.
            if (Files.DeviceNumberOf(device) != sysfs.VfioDeviceNumberOf(address))
            {
                throw new DeviceOpenException($"{node} was not {address}'s any more when it was opened: functions are being bound and unbound. Try again.");
            }

            Bind(device, context);
            return device;
        }
        catch (UnixException exception)
        {
            device.Dispose();
            throw ToOpenFailure(address, exception);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    private RouteObstacle? FindObstacle(string path, string cureIfMissing)
    {
        try
        {
            // A context by itself, and a function's node before it is bound, keep nobody else out.
            Open(path).Dispose();
            return null;
        }
        catch (DeviceOpenException exception) when (exception.InnerException is UnixException cause)
        {
            return new RouteObstacle(CureOf(path, cause, cureIfMissing), OfKernel: false);
        }
    }

    private OwnedDescriptor Open(string path)
    {
        try
        {
            return Files.Open(Path.Combine(root, path[1..]), OpenFlags.ReadWrite);
        }
        catch (UnixException exception)
        {
            throw new DeviceOpenException($"{path} can't be opened: {exception.Message}.", exception);
        }
    }

    private string DeviceNode(PciAddress address) => $"/dev/vfio/devices/{sysfs.VfioDeviceOf(address)}";

    private void Leave(PciAddress address)
    {
        lock (_lock)
        {
            _open.Remove(address);
        }
    }
}
