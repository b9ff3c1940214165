using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// Takes PCI functions over from VFIO. What they share is here: one IOMMU container and one IOMMUFD context, as far as they are needed,
/// and one session of the bar_lease module, whose end is the end of every lease.
/// </summary>
public sealed class VfioDeviceOpener : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PciSysfs _sysfs;
    private readonly RunningKernel _kernel;
    private readonly VfioRoutes _routes;
    private readonly string _sessionPath;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private LeaseSession? _session;

    /// <param name="loggers">Makes the loggers of the devices.</param>
    /// <param name="time">The clock of the devices.</param>
    /// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
    public VfioDeviceOpener(ILoggerFactory loggers, TimeProvider time, string root = "/")
    {
        _sysfs = new PciSysfs(root);
        _kernel = new RunningKernel(root);
        _routes = new VfioRoutes(_sysfs, root);
        _sessionPath = Path.Combine(root, LeaseSession.NodePath[1..]);
        _time = time;
        _logger = loggers.CreateLogger<VfioBarDevice>();
    }

    /// <summary>Looks whether the running kernel has what a device takes, before anything else is tried.</summary>
    /// <param name="functions">The functions that are meant to be opened; on a kernel that seems too old, they are asked.</param>
    /// <exception cref="UnfitKernelException">It does not.</exception>
    public Task CheckKernelAsync(IReadOnlyList<PciAddress> functions) => RunAsync(() =>
    {
        if (_kernel.FindUnfitness(functions, CanExport) is { } unfitness)
        {
            throw new UnfitKernelException(unfitness);
        }

        return true;
    });

    /// <summary>Opens the function at <paramref name="address"/>; the caller disposes the device before this opener.</summary>
    /// <param name="name">The device's name in the policy.</param>
    /// <param name="address">Where it sits.</param>
    /// <exception cref="DeviceOpenException">It can't be had; the message says why, and what to do.</exception>
    /// <exception cref="UnfitKernelException">No function can, while this kernel runs.</exception>
    public Task<IBarDevice> OpenAsync(string name, PciAddress address) => RunAsync<IBarDevice>(() => Open(name, address));

    /// <summary>Revokes every lease that is left and lets go of VFIO.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _session?.Dispose();
            _routes.Dispose();
        }
    }

    // VFIO resets a function when it is opened, where it can.
    private static Task<T> RunAsync<T>(Func<T> call) => Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private bool CanExport(PciAddress address)
    {
        try
        {
            if (_sysfs.FindObstacle(address) is not null)
            {
                return false;
            }

            using VfioFunction function = _routes.Open(address).Function;
            return function.CanExportDmaBuf;
        }
        catch (Exception exception) when (exception is DeviceOpenException or IOException)
        {
            return false;
        }
    }

    private VfioBarDevice Open(string name, PciAddress address)
    {
        try
        {
            if (_sysfs.FindObstacle(address) is { } obstacle)
            {
                throw new DeviceOpenException($"Device '{name}': {obstacle}") { IsAbsent = !_sysfs.IsBound(address) };
            }

            lock (_lock)
            {
                _session ??= LeaseSession.Open(_sessionPath);
            }

            (VfioFunction function, RouteChoice choice) = _routes.Open(address);
            VfioBarDevice device = Start(name, address, function);
            _logger.Opened(name, address, choice.Route.Describe(address), device.Bars.Length);
            return device;
        }
        catch (UnixException exception)
        {
            throw new DeviceOpenException($"Device '{name}': VFIO does not hand {address} out ({exception.Message}). The kernel's log may say why.", exception);
        }
        catch (IOException exception)
        {
            throw new DeviceOpenException($"Device '{name}': what the kernel tells of {address} can't be read ({exception.Message}).", exception);
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
                ? new VfioBarDevice(name, address, function, _session!, _logger, _time)
                : throw new UnfitKernelException(_kernel.WhyNoExport);
        }
        catch
        {
            function.Dispose();
            throw;
        }
    }
}
