using System.Collections.Concurrent;
using BarBroker.Devices;

namespace BarBroker.Tests.Leases;

internal sealed partial class FakeBarDevice
{
    private readonly TaskCompletionSource _givenBack = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile DeviceCondition _condition = DeviceCondition.Serving;

    public event Action<DeviceChange>? Changed;

    public DeviceCondition Condition => _condition;

    public Task GivenBack => _givenBack.Task;

    /// <summary>Disposed, but the kernel has it back only when the test calls <see cref="GiveBack"/>.</summary>
    public bool KeptWhenDisposed { get; set; }

    /// <summary>What <see cref="SuspendAsync"/>, <see cref="ResumeAsync"/> and <see cref="ResetAsync"/> throw.</summary>
    public Exception? ControlFailure { get; set; }

    /// <summary>What was asked of it.</summary>
    public ConcurrentQueue<string> Controls { get; } = [];

    public Task SuspendAsync(SuspendReason reason) => Control($"suspend {reason}", reason);

    public Task ResumeAsync() => Control("resume", null);

    public Task ResetAsync() => Control("reset", null, wasReset: true);

    public void GiveBack() => _givenBack.TrySetResult();

    /// <summary>Changes its condition, and tells of it.</summary>
    public void Become(Func<DeviceCondition, DeviceCondition> change, bool wasReset = false)
    {
        DeviceCondition before = _condition;
        _condition = change(before);
        Changed?.Invoke(new DeviceChange(this, before, _condition, wasReset));
    }

    public void Suspend(SuspendReason reason = SuspendReason.MemoryOff) => Become(condition => condition with { Suspended = reason });

    public void Resume(bool wasReset = false) => Become(condition => condition with { Suspended = null }, wasReset);

    private Task Control(string what, SuspendReason? suspended, bool wasReset = false)
    {
        Controls.Enqueue(what);
        if (ControlFailure is { } failure)
        {
            return Task.FromException(failure);
        }

        Become(condition => condition with { Suspended = suspended }, wasReset);
        return Task.CompletedTask;
    }

    private void Close()
    {
        if (!KeptWhenDisposed)
        {
            GiveBack();
        }

        // What a device that was given back had leased reaches nothing.
        lock (_lock)
        {
            _reachable.Clear();
        }
    }
}
