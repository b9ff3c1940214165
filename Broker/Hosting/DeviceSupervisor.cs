using System.Globalization;
using System.Threading.Channels;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc;
using BarBroker.Rpc.Services;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Hosting;

/// <summary>
/// Looks after the devices while the broker serves: takes those in whose opening took too long for the start, gives those back that the kernel
/// wants, takes them again when they return, tells health by device (<c>device/NAME</c>), and tries again to end what is quarantined. What
/// happens to one device holds up no other.
/// </summary>
/// <remarks>
/// Health is SERVING only while leases of the device can be had and nothing of it is quarantined. That of the broker itself does not depend on it.
/// </remarks>
internal sealed class DeviceSupervisor : IAsyncDisposable
{
    public const string HealthPrefix = "device/";

    /// <summary>More than a revocation takes to find out that it can't be confirmed.</summary>
    internal static readonly TimeSpan RetireLimit = TimeSpan.FromSeconds(20);

    /// <summary>
    /// For importers that let go at last, of which nobody is told. Runs only while something is quarantined, and holds up other revocations
    /// of the device for as long as the kernel waits: a second.
    /// </summary>
    internal static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(60);

    /// <summary>
    /// For devices that are there but can't be opened, as they are in use or memory or descriptors are short: nobody tells when that is
    /// over. Runs only while it is so.
    /// </summary>
    internal static readonly TimeSpan ReopenInterval = TimeSpan.FromSeconds(60);

    private readonly ServedDevices _served;
    private readonly LeaseTable _leases;
    private readonly HealthStatus _health;
    private readonly Func<DeviceDefinition, Task<IBarDevice>> _reopen;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _healthLock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<string, Channel<bool>> _arrivals = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ITimer> _retries = new(StringComparer.Ordinal);
    private readonly List<Task> _tasks = [];

    /// <param name="served">The devices: open, or being opened.</param>
    /// <param name="leases">Their leases; it has those that are open.</param>
    /// <param name="health">Where their health is told.</param>
    /// <param name="reopen">Opens a device once more; a failure is a <see cref="StartException"/> or a <see cref="PolicyException"/>.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Where devices leave a trace.</param>
    public DeviceSupervisor(
        ServedDevices served, LeaseTable leases, HealthStatus health, Func<DeviceDefinition, Task<IBarDevice>> reopen, TimeProvider time, ILogger<DeviceSupervisor> logger)
    {
        _served = served;
        _leases = leases;
        _health = health;
        _reopen = reopen;
        _time = time;
        _logger = logger;
        foreach (DeviceDefinition definition in served.Policy.Devices)
        {
            string name = definition.Name;
            _arrivals[name] = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
            _retries[name] = time.CreateTimer(_ => Retry(name), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            Follow(served[name]);
        }

        leases.QuarantineChanged += OnQuarantineChanged;
    }

    /// <summary>Begins to look after devices that may go away.</summary>
    public void Start()
    {
        foreach (DeviceDefinition definition in _served.Policy.Devices)
        {
            if (_served[definition.Name] is IControlledDevice device)
            {
                _tasks.Add(SuperviseAsync(definition, device));
            }
        }
    }

    /// <summary>Something may have returned: devices that are gone are looked for.</summary>
    public void LookAgain()
    {
        foreach (Channel<bool> arrivals in _arrivals.Values)
        {
            arrivals.Writer.TryWrite(true);
        }
    }

    /// <summary>Lets go of the devices, as they are. Whoever owns them closes them.</summary>
    public async ValueTask DisposeAsync()
    {
        _leases.QuarantineChanged -= OnQuarantineChanged;
        await _stop.CancelAsync();
        foreach (ITimer timer in _retries.Values)
        {
            await timer.DisposeAsync();
        }

        try
        {
            // A device that is just being opened is waited for, so that it has an owner; not for ever, since the kernel may hold it up.
            await Task.WhenAll(_tasks).WaitAsync(RetireLimit, _time);
        }
        catch (TimeoutException)
        {
            DeviceLog.StillOpening(_logger);
        }
    }

    private async Task SuperviseAsync(DeviceDefinition definition, IControlledDevice device)
    {
        try
        {
            while (true)
            {
                if (device is not UnopenedDevice)
                {
                    await device.Gone.UntilCancelledAsync(_stop.Token);
                    await GiveBackAsync(device);
                }

                if (await TakeAsync(definition, device as UnopenedDevice) is not IControlledDevice next)
                {
                    return;
                }

                device = next;
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The broker stops.
        }
#pragma warning disable CA1031 // Whatever it is, it concerns this device alone, and nobody awaits this before the end.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            DeviceLog.SupervisionFailed(_logger, definition.Name, exception);
        }
    }

    /// <summary>The kernel waits for it: what is leased ends, then it is closed.</summary>
    private async Task GiveBackAsync(IControlledDevice device)
    {
        try
        {
            await _leases.RetireAsync(device).WaitAsync(RetireLimit, _time, _stop.Token);
        }
        catch (TimeoutException)
        {
            // An export hangs. Closing is all that is left.
        }

        try
        {
            await device.DisposeAsync();
        }
        catch (RevocationUnconfirmedException exception)
        {
            HostLog.CloseFailed(_logger, device.Name, exception);
        }

        await device.GivenBack.WaitAsync(_stop.Token);
        device.Changed -= OnChanged;
        _leases.SettleClosed(device);
    }

    /// <param name="definition">The device.</param>
    /// <param name="unopened">Stands for it, if it is being opened already.</param>
    private async Task<IBarDevice> TakeAsync(DeviceDefinition definition, UnopenedDevice? unopened)
    {
        Channel<bool> arrivals = _arrivals[definition.Name];
        await using ITimer again = _time.CreateTimer(_ => arrivals.Writer.TryWrite(true), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        IBarDevice? device = unopened is null ? null : await TryOpenAsync(definition, unopened, again);
        while (device is null)
        {
            await arrivals.Reader.ReadAsync(_stop.Token);
            device = await TryOpenAsync(definition, null, again);
        }

        // First the table: whoever finds the device can lease it.
        _leases.Attach(device);
        _served.Replace(device);
        Follow(device);
        DeviceLog.Returned(_logger, definition.Name);
        return device;
    }

    /// <param name="definition">The device.</param>
    /// <param name="unopened">Stands for it, if it is being opened already.</param>
    /// <param name="again">Is started when it should be tried again without a sign.</param>
    /// <exception cref="OperationCanceledException">The broker stops. What was opened is its opener's to close.</exception>
    private async Task<IBarDevice?> TryOpenAsync(DeviceDefinition definition, UnopenedDevice? unopened, ITimer again)
    {
        string? before = _served.NoteOf(definition.Name);
        string overdue = string.Create(CultureInfo.InvariantCulture, $"The kernel has not returned from opening it for {DeviceThread.Overdue.TotalSeconds} s: see its log.");
        await using ITimer watchdog = _time.CreateTimer(_ => _served.SetNote(definition.Name, overdue), null, DeviceThread.Overdue, Timeout.InfiniteTimeSpan);
        try
        {
            IBarDevice device = await (unopened is null ? _reopen(definition) : unopened.Opening);

            // The kernel may have taken its time, and nobody is to hear of a device that is about to be closed.
            _stop.Token.ThrowIfCancellationRequested();
            return device;
        }
        catch (Exception exception) when (_stop.IsCancellationRequested)
        {
            if (exception is not OperationCanceledException)
            {
                DeviceLog.LateOpenFailed(_logger, definition.Name, exception);
            }

            throw new OperationCanceledException(exception.Message, exception, _stop.Token);
        }
#pragma warning disable CA1031 // A device is taken to pieces while it is looked at; whatever that comes to, the next time may find it whole.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            // Whoever reads of it in the log finds it so.
            string note = exception is PolicyException ? $"It is there, but does not fit the policy: {exception.Message}" : exception.Message;
            _served.SetNote(definition.Name, note);
            unopened?.NotHad();
            if (exception is not (PolicyException or StartException { IsAbsent: true }))
            {
                again.Change(ReopenInterval, Timeout.InfiniteTimeSpan);
            }

            LogFailure(definition.Name, exception, isNews: note != before);
            return null;
        }
    }

    private void LogFailure(string device, Exception failure, bool isNews)
    {
        switch (failure)
        {
            case StartException start when start.IsAbsent || !isNews:
            // One return gives several signs, and each of them an opening.
            case PolicyException when !isNews:
                DeviceLog.NotYet(_logger, device, failure.Message);
                break;
            case StartException:
                DeviceLog.NotHad(_logger, device, failure.Message);
                break;
            case PolicyException:
                DeviceLog.Misfit(_logger, device, failure.Message);
                break;
            default:
                DeviceLog.TakingBackFailed(_logger, device, failure);
                break;
        }
    }

    private void Follow(IBarDevice device)
    {
        if (device is IControlledDevice controlled)
        {
            controlled.Changed += OnChanged;
        }

        TellHealth(device.Name);
    }

    private void OnChanged(DeviceChange change)
    {
        TellHealth(change.Device.Name);
        bool isBetter = (change.Before.StuckIn is not null && change.Now.StuckIn is null) || (change.Before.Suspended is not null && change.Now.Suspended is null);
        if (isBetter && _leases.CountQuarantined(change.Device) > 0)
        {
            Retry(change.Device.Name);
        }
    }

    private void OnQuarantineChanged(IBarDevice device)
    {
        TellHealth(device.Name);
        if (_leases.CountQuarantined(device) > 0)
        {
            _retries[device.Name].Change(RetryInterval, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Not on the caller's thread: it may be one that a device needs. What fails is quarantined again, which is told.</summary>
    private void Retry(string name)
    {
        if (!_stop.IsCancellationRequested)
        {
            _ = Task.Run(() => _leases.RetryQuarantinedAsync(_served[name]));
        }
    }

    private void TellHealth(string name)
    {
        // Under a lock, so that the last to come tells what is.
        lock (_healthLock)
        {
            IBarDevice device = _served[name];
            bool serves = device.ConditionOf().State == DeviceState.Serving && _leases.CountQuarantined(device) == 0;
            _health.Set(HealthPrefix + name, serves ? ServingStatus.Serving : ServingStatus.NotServing);
        }
    }
}
