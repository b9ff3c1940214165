using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Simulated;
using BarBroker.Devices.Vfio;
using BarBroker.Policy;

namespace BarBroker.Hosting;

/// <summary>Opens the devices of a policy, and closes them again: all or none.</summary>
/// <param name="loggers">Makes the loggers of the devices.</param>
/// <param name="time">The clock of the devices.</param>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed class DeviceOpener(ILoggerFactory loggers, TimeProvider time, string root = "/") : IAsyncDisposable
{
    /// <summary>How long the start waits for devices to be opened: as long as any call into the kernel has before its device counts as stuck.</summary>
    internal static readonly TimeSpan OpenLimit = DeviceThread.Overdue;

    /// <summary>Closing takes milliseconds, unless the kernel waits for somebody.</summary>
    private static readonly TimeSpan LetGoLimit = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly List<IBarDevice> _devices = [];
    private readonly ILogger _logger = loggers.CreateLogger<DeviceOpener>();
    private VfioDeviceOpener? _vfio;
    private bool _closed;

    /// <summary>Stands in for VFIO in tests.</summary>
    internal Func<string, PciAddress, Task<IBarDevice>>? OpenFunction { private get; init; }

    private VfioDeviceOpener Vfio => _vfio ??= new VfioDeviceOpener(loggers, time, root);

    /// <summary>Looks whether the running kernel has what the policy's devices take.</summary>
    /// <exception cref="StartException">It does not.</exception>
    public async Task CheckKernelAsync(BrokerPolicy policy)
    {
        PciAddress[] functions = [.. policy.Devices.Select(TryLocate).OfType<PciAddress>()];
        if (functions.Length == 0)
        {
            return;
        }

        try
        {
            await Vfio.CheckKernelAsync(functions).WaitAsync(OpenLimit, time);
        }
        catch (UnfitKernelException exception)
        {
            throw Unfit(exception);
        }
        catch (TimeoutException)
        {
            // Nothing is known against the kernel yet; whoever opens its functions finds out.
        }
    }

    /// <summary>
    /// Opens every device, side by side, and checks that windows and areas fit it. One from whose opening the kernel does not return in time is
    /// an <see cref="UnopenedDevice"/>: it holds up neither the others nor the start.
    /// </summary>
    /// <param name="policy">The policy.</param>
    /// <param name="file">Its file, for errors.</param>
    /// <param name="stop">Gives up: a device that is being opened then is closed once it is open.</param>
    /// <exception cref="StartException">Devices can't be had.</exception>
    /// <exception cref="PolicyException">The policy does not fit the devices.</exception>
    public async Task<ImmutableArray<IBarDevice>> OpenAllAsync(BrokerPolicy policy, string file, CancellationToken stop = default)
    {
        ThrowIfOneIsTwo(policy, file);
        (DeviceDefinition Definition, Task<IBarDevice> Device)[] openings = [.. policy.Devices.Select(definition => (definition, OpenAsync(definition, file)))];
        await Task.WhenAll(openings.Select(opening => (Task)opening.Device)).WaitAsync(OpenLimit, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        try
        {
            stop.ThrowIfCancellationRequested();
            StartFailures.ThrowIfAny(file, [.. openings.Select(opening => opening.Device.Exception?.InnerException).OfType<Exception>()]);
        }
        catch
        {
            foreach ((DeviceDefinition definition, Task<IBarDevice> device) in openings.Where(opening => !opening.Device.IsCompleted))
            {
                DeviceLog.StoppedWhileOpening(_logger, definition.Name);
                _ = CloseLateAsync(definition, device);
            }

            throw;
        }

        // Some may have returned, and even failed, since.
        return [.. openings.Select(opening => opening.Device.IsCompletedSuccessfully ? opening.Device.Result : StartWithout(opening.Definition, opening.Device))];
    }

    /// <summary>Opens a device, at the start or once more after it went away, and checks that the policy fits it. It is closed with this opener, if not before.</summary>
    /// <exception cref="StartException">It can't be had.</exception>
    /// <exception cref="PolicyException">The policy does not fit it.</exception>
    /// <exception cref="ObjectDisposedException">This opener was closed before the kernel returned. So was the device, after that.</exception>
    public async Task<IBarDevice> OpenAsync(DeviceDefinition definition, string file)
    {
        IBarDevice device = await OpenSourceAsync(definition, file);
        try
        {
            PolicyErrors errors = new(file);
            CheckGeometry(definition, device.Bars, device.MaxRanges, errors);
            errors.ThrowIfAny();
        }
        catch
        {
            await device.DisposeAsync();
            throw;
        }

        if (!TryKeep(device))
        {
            // Nobody else would.
            await CloseAsync(device);
            throw new ObjectDisposedException(nameof(DeviceOpener));
        }

        WarnOfMissingMemory(definition, device, _logger);
        return device;
    }

    /// <summary>Calls <paramref name="lookAgain"/> whenever a device that is gone may have returned; null when none of the open ones can go.</summary>
    public IDisposable? ListenForArrivals(Action lookAgain)
    {
        if (_vfio is null)
        {
            return null;
        }

        VfioArrivals arrivals = new(loggers.CreateLogger<VfioArrivals>());
        arrivals.Changed += lookAgain;
        return arrivals;
    }

    /// <summary>Closes what was opened: all at once, so that one which is stuck costs the others no time.</summary>
    public async ValueTask DisposeAsync()
    {
        IBarDevice[] devices;
        lock (_lock)
        {
            _closed = true;
            devices = [.. _devices];
        }

        await Task.WhenAll(devices.Select(CloseAsync));
        if (_vfio is { } vfio)
        {
            await LetGoAsync(vfio);
        }
    }

    /// <summary>Every window must be leasable as a whole; an area may cover what is never leased, but not go past its BAR.</summary>
    internal static void CheckGeometry(DeviceDefinition definition, ImmutableArray<BarGeometry> bars, int maxRanges, PolicyErrors errors)
    {
        foreach (Window window in definition.Windows)
        {
            foreach (BarRange range in window.Ranges.Items)
            {
                if (DeviceGeometry.Check(bars, range) is { } problem)
                {
                    errors.Add(window, problem.Message);
                }
            }

            if (window.Ranges.Count > maxRanges)
            {
                errors.Add(window, $"found {window.Ranges.Count} ranges; the bar_lease module on this machine takes at most {maxRanges} in a lease. Install the module that comes with the broker, or make several windows of them.");
            }
        }

        foreach (Area area in definition.Grants.SelectMany(grant => grant.Areas))
        {
            if (DeviceGeometry.CheckBounds(bars, area.Range) is { } problem)
            {
                errors.Add(area.At, area.KeyPath, problem.Message);
            }
        }
    }

    /// <returns>False when what was opened has been closed already.</returns>
    private bool TryKeep(IBarDevice device)
    {
        lock (_lock)
        {
            if (_closed)
            {
                return false;
            }

            _devices.RemoveAll(old => old.Name == device.Name);
            _devices.Add(device);
            return true;
        }
    }

    /// <summary>The last close of the module's session waits for every driver that does not let go of a lease, without a limit. The process's end does not.</summary>
    private async Task LetGoAsync(VfioDeviceOpener vfio)
    {
        Task closing = Task.Factory.StartNew(vfio.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            await closing.WaitAsync(LetGoLimit, time);
        }
        catch (TimeoutException)
        {
            HostLog.LetGoTimedOut(_logger, LetGoLimit);
        }
    }

    private async Task CloseAsync(IBarDevice device)
    {
        try
        {
            await device.DisposeAsync();
        }
        catch (RevocationUnconfirmedException exception)
        {
            HostLog.CloseFailed(_logger, device.Name, exception);
        }
    }

    /// <summary>No reason not to start: the module may be another one tomorrow, and a request under such a grant is told.</summary>
    internal static void WarnOfMissingMemory(DeviceDefinition definition, IBarDevice device, ILogger logger)
    {
        string grants = string.Join(", ", definition.Grants.Where(grant => device.MemoryTypeFor(grant.Memory) is null).Select(grant => grant.KeyPath));
        if (grants.Length > 0)
        {
            HostLog.MemoryTypeMissing(logger, device.Name, grants);
        }
    }

    private UnopenedDevice StartWithout(DeviceDefinition definition, Task<IBarDevice> opening)
    {
        DeviceLog.StartsWithout(_logger, definition.Name);
        return new UnopenedDevice(definition.Name, TryLocate(definition), opening);
    }

    private async Task CloseLateAsync(DeviceDefinition definition, Task<IBarDevice> opening)
    {
        try
        {
            await CloseAsync(await opening);
        }
#pragma warning disable CA1031 // Nobody awaits this, and nobody has the device.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            DeviceLog.LateOpenFailed(_logger, definition.Name, exception);
        }
    }

    private async Task<IBarDevice> OpenSourceAsync(DeviceDefinition definition, string file)
    {
        await using ITimer watchdog = time.CreateTimer(
            _ => DeviceLog.OpenOverdue(_logger, definition.Name, DeviceThread.Overdue.TotalSeconds), null, DeviceThread.Overdue, Timeout.InfiniteTimeSpan);
        switch (definition.Source)
        {
            case SimulatedSource simulated:
                return new SimulatedBarDevice(definition.Name, simulated.Bars.Select(bar => KeyValuePair.Create(bar.Index, bar.Size)), time);
            case PciSource or PciIdentitySource:
                try
                {
                    return await (OpenFunction ?? Vfio.OpenAsync)(definition.Name, Locate(definition));
                }
                catch (UnfitKernelException exception)
                {
                    throw Unfit(exception);
                }
                catch (DeviceOpenException exception)
                {
                    DeviceSource source = definition.Source;
                    throw new StartException($"{file}:{source.At.Line}:{source.At.Column}: {source.KeyPath}: {exception.Message}", exception) { IsAbsent = exception.IsAbsent };
                }

            default:
                throw new InvalidOperationException($"{definition.Source.GetType().Name} is no source of devices.");
        }
    }

    /// <summary>Where the function sits now. Each opening looks again: one that was taken out may come back elsewhere.</summary>
    private PciAddress Locate(DeviceDefinition definition)
    {
        if (definition.Source is not PciIdentitySource { Identity: var identity })
        {
            return ((PciSource)definition.Source).Address;
        }

        try
        {
            return new PciSysfs(root).Find(identity);
        }
        catch (DeviceOpenException exception)
        {
            throw new DeviceOpenException($"Device '{definition.Name}': {exception.Message}", exception) { IsAbsent = exception.IsAbsent };
        }
    }

    /// <summary>Null for what is no function, or can't be found.</summary>
    private PciAddress? TryLocate(DeviceDefinition definition)
    {
        try
        {
            return definition.Source is SimulatedSource ? null : Locate(definition);
        }
        catch (DeviceOpenException)
        {
            return null;
        }
    }

    /// <summary>Two devices that the file describes differently can be one function.</summary>
    private void ThrowIfOneIsTwo(BrokerPolicy policy, string file)
    {
        PolicyErrors errors = new(file);
        Dictionary<PciAddress, DeviceDefinition> known = [];
        foreach (DeviceDefinition definition in policy.Devices)
        {
            if (TryLocate(definition) is { } address && !known.TryAdd(address, definition))
            {
                errors.Add(definition.Source.At, definition.Source.KeyPath, $"{address} is device '{known[address].Name}' already. A function has one name: give both sets of windows to it.");
            }
        }

        errors.ThrowIfAny();
    }

    private static StartException Unfit(UnfitKernelException exception) => new(exception.Message, exception) { ExitCode = ExitCodes.UnfitKernel };
}
