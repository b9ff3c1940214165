using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace BarBroker.Unix;

/// <summary>Waits until a full socket has room again, without an allocation per wait. One waiter at a time.</summary>
internal sealed class WritableSignal(SafeHandle socket) : IDescriptorObserver, IValueTaskSource, IDisposable
{
    private const DescriptorEvents Events = DescriptorEvents.Writable | DescriptorEvents.Once;

    private DescriptorWatcher.Registration? _registration;
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };

    /// <summary>Completes when there is room, or the connection is over: the next send tells which.</summary>
    /// <exception cref="UnixException">The socket can't be watched.</exception>
    internal ValueTask WaitAsync()
    {
        // Reset first: a report can come before arming returns.
        _core.Reset();
        if (_registration is null)
        {
            _registration = DescriptorWatcher.Shared.Watch(socket, Events, this);
        }
        else
        {
            _registration.Arm(Events);
        }

        return new ValueTask(this, _core.Version);
    }

    void IDescriptorObserver.OnReady() => _core.SetResult(true);

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    /// <summary>Ends the watch. Call it when nobody waits, and before the socket is closed.</summary>
    public void Dispose() => _registration?.Dispose();
}
