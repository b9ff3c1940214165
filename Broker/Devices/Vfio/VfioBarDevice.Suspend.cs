namespace BarBroker.Devices.Vfio;

public sealed partial class VfioBarDevice
{
    /// <summary>How long whoever asks for a reset waits for the kernel: more than any takes that comes back.</summary>
    internal static readonly TimeSpan ControlTimeout = TimeSpan.FromSeconds(15);

    private readonly Lock _conditionLock = new();
    private readonly List<string> _overdue = [];
    private volatile DeviceCondition _condition = DeviceCondition.Serving;

    /// <summary>A reset was at least begun, and no resumption has told of it yet. The work thread's own.</summary>
    private bool _mayBeReset;

    /// <inheritdoc/>
    public event Action<DeviceChange>? Changed;

    /// <inheritdoc/>
    public DeviceCondition Condition => _condition;

    /// <inheritdoc/>
    public Task SuspendAsync(SuspendReason reason)
    {
        if (reason is not (SuspendReason.MemoryOff or SuspendReason.LowPower))
        {
            throw new ArgumentOutOfRangeException(nameof(reason), reason, "A device is suspended by memory decode or by power.");
        }

        return ControlAsync("suspend", () => Suspend(reason));
    }

    /// <inheritdoc/>
    public Task ResumeAsync() => ControlAsync("resume", Resume);

    /// <inheritdoc/>
    public Task ResetAsync() => ControlAsync("reset", Reset);

    private void Suspend(SuspendReason reason)
    {
        if (_condition.Suspended is { } current)
        {
            if (current != reason)
            {
                throw new DeviceSuspendedException(Name);
            }

            return;
        }

        if (reason == SuspendReason.LowPower && !_function.CanSleep)
        {
            throw new SuspendUnsupportedException(Name, "it has no power management capability, and so no D3hot; its memory decode can be turned off");
        }

        MoveTo(reason);
        try
        {
            if (reason == SuspendReason.LowPower)
            {
                _function.SetSleep(true);
            }
            else
            {
                _function.SetMemory(false);
            }
        }
        catch
        {
            // How far it came is not known. While it can't be undone it stays suspended, so that a resumption can be tried again.
            if (TryUndo(reason))
            {
                MoveTo(null);
            }

            throw;
        }
    }

    private void Resume()
    {
        if (_condition.Suspended is { } reason)
        {
            Undo(reason);
            MoveTo(null);
        }
    }

    private bool TryUndo(SuspendReason reason)
    {
        try
        {
            Undo(reason);
            return true;
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException)
        {
            _logger.ControlFailed(exception, Name, "undo suspend");
            return false;
        }
    }

    private void Undo(SuspendReason reason)
    {
        if (reason == SuspendReason.LowPower)
        {
            _mayBeReset |= !_function.SleepsWithoutReset;
            _function.SetSleep(false);
        }
        else
        {
            _function.SetMemory(true);
        }
    }

    private void Reset()
    {
        if (!_function.CanReset)
        {
            throw new ResetUnsupportedException(Name, "the kernel knows no way to reset it alone");
        }

        // VFIO's bookkeeping of what it has exported does not survive a reset in low power.
        if (_condition.Suspended == SuspendReason.LowPower)
        {
            Resume();
        }

        bool memoryWasOff = _condition.Suspended == SuspendReason.MemoryOff;
        if (!memoryWasOff)
        {
            MoveTo(SuspendReason.Reset);
        }

        // Whether or not it succeeds: of one that fails, nobody knows how far it came.
        _mayBeReset = true;
        try
        {
            _function.Reset();
        }
        catch when (!memoryWasOff)
        {
            MoveTo(null);
            throw;
        }

        if (memoryWasOff)
        {
            _function.SetMemory(true);
        }

        MoveTo(null);
    }

    /// <summary>The one place where it is suspended and resumed: from reachable to one kind of unreachable, and back.</summary>
    private void MoveTo(SuspendReason? next)
    {
        if ((_condition.Suspended is null) == (next is null))
        {
            throw new InvalidOperationException($"Device '{Name}' can't go from '{_condition.Suspended}' to '{next}'.");
        }

        bool wasReset = next is null && _mayBeReset;
        Change(condition => condition with { Suspended = next }, wasReset);
        if (next is { } reason)
        {
            _logger.Suspended(Name, reason);
        }
        else
        {
            _mayBeReset = false;
            _logger.Resumed(Name, wasReset);
        }
    }

    private async Task ControlAsync(string name, Action call)
    {
        ThrowIfUnavailable();
        try
        {
            await RunWorkAsync(name, () =>
            {
                ThrowIfUnavailable();
                call();
                return true;
            }).WaitAsync(ControlTimeout, _time);
        }
        catch (TimeoutException exception)
        {
            throw new DeviceStuckException(Name, name, exception);
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException)
        {
            _logger.ControlFailed(exception, Name, name);
            throw exception as IOException ?? new IOException(exception.Message, exception);
        }
    }

    /// <summary>Runs a call that a stuck one before it would hold up: it then fails at once.</summary>
    private Task<T> RunWorkAsync<T>(string name, Func<T> call)
    {
        ThrowIfStuck();
        Task<T> task = _work.RunAsync(name, call);
        if (_condition.StuckIn is { } stuck)
        {
            // Since the check above; those that came before were failed when it was noticed.
            _work.FailWaiting(() => new DeviceStuckException(Name, stuck));
        }

        return task;
    }

    private void ThrowIfStuck()
    {
        if (_condition.StuckIn is { } call)
        {
            throw new DeviceStuckException(Name, call);
        }
    }

    private void ThrowIfSuspended()
    {
        if (_condition.Suspended is not null)
        {
            throw new DeviceSuspendedException(Name);
        }
    }

    private void ReportOverdue(string call)
    {
        lock (_conditionLock)
        {
            _overdue.Add(call);
            Change(condition => condition with { StuckIn = _overdue[0] });
        }

        _logger.Overdue(Name, call, DeviceThread.Overdue.TotalSeconds);
        _work.FailWaiting(() => new DeviceStuckException(Name, call));
    }

    private void ReportReturned(string call)
    {
        lock (_conditionLock)
        {
            _overdue.Remove(call);
            Change(condition => condition with { StuckIn = _overdue.FirstOrDefault() });
        }

        _logger.Returned(Name, call);
    }

    private void Change(Func<DeviceCondition, DeviceCondition> change, bool wasReset = false)
    {
        // Under the lock, so that everybody hears of changes in their order.
        lock (_conditionLock)
        {
            DeviceCondition before = _condition;
            _condition = change(before);
            if (_condition != before)
            {
                Changed?.Invoke(new DeviceChange(this, before, _condition, wasReset));
            }
        }
    }
}
