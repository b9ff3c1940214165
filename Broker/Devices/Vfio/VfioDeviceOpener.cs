using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// Takes PCI functions over from VFIO. What they share is here: one IOMMU container, and one session of the bar_lease
/// module, whose end is the end of every lease.
/// </summary>
/// <param name="loggers">Makes the loggers of the devices.</param>
/// <param name="time">The clock of the devices.</param>
public sealed class VfioDeviceOpener(ILoggerFactory loggers, TimeProvider time) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PciSysfs _sysfs = new();
    private readonly ILogger _logger = loggers.CreateLogger<VfioBarDevice>();
    private LeaseSession? _session;
    private VfioContainer? _container;

    /// <summary>Opens the function at <paramref name="address"/>; the caller disposes the device before this opener.</summary>
    /// <param name="name">The device's name in the policy.</param>
    /// <param name="address">Where it sits.</param>
    /// <exception cref="DeviceOpenException">It can't be had; the message says why, and what to do.</exception>
    public Task<IBarDevice> OpenAsync(string name, PciAddress address) => Task.Factory.StartNew<IBarDevice>(
        () => Open(name, address),
        CancellationToken.None,
        TaskCreationOptions.LongRunning, // VFIO resets the function first, where it can.
        TaskScheduler.Default);

    /// <summary>Revokes every lease that is left and lets go of VFIO.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _session?.Dispose();
            _container?.Dispose();
        }
    }

    private VfioBarDevice Open(string name, PciAddress address)
    {
        try
        {
            if (_sysfs.FindObstacle(address) is { } obstacle)
            {
                throw new DeviceOpenException($"Device '{name}': {obstacle}");
            }

            lock (_lock)
            {
                _session ??= LeaseSession.Open();
                _container ??= new VfioContainer();
            }

            int group = _sysfs.IommuGroupOf(address)!.Value;
            VfioBarDevice device = Start(name, address, _container.OpenFunction(address, group));
            _logger.Opened(name, address, group, device.Bars.Length);
            return device;
        }
        catch (UnixException exception)
        {
            throw new DeviceOpenException($"Device '{name}': VFIO does not hand {address} out ({exception.Message}). The kernel's log may say why.", exception);
        }
        catch (InvalidDataException exception)
        {
            throw new DeviceOpenException($"Device '{name}': {address} can't be leased safely: {exception.Message}.", exception);
        }
    }

    private VfioBarDevice Start(string name, PciAddress address, VfioFunction function)
    {
        try
        {
            return function.CanExportDmaBuf
                ? new VfioBarDevice(name, address, function, _session!, _logger, time)
                : throw new DeviceOpenException($"Device '{name}': this kernel's vfio-pci can't export DMABUFs: that takes Linux 6.19 or newer, built with CONFIG_VFIO_PCI_DMABUF.");
        }
        catch
        {
            function.Dispose();
            throw;
        }
    }
}
