using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace BarBroker.Unix;

/// <summary>Waits until a socket can be read, or has room again, without an allocation per wait. One waiter at a time.</summary>
internal sealed class ReadinessSignal : IDescriptorObserver, IValueTaskSource, IDisposable
{
    private readonly DescriptorWatcher _watcher;
    private readonly SafeHandle _socket;
    private readonly DescriptorEvents _events;
    private DescriptorWatcher.Registration? _registration;
    private ManualResetValueTaskSourceCore<bool> _core;

    private ReadinessSignal(DescriptorWatcher watcher, SafeHandle socket, DescriptorEvents events, bool continuesInline)
    {
        _core.RunContinuationsAsynchronously = !continuesInline;
        _watcher = watcher;
        _socket = socket;
        _events = events | DescriptorEvents.Once;
    }

    /// <summary>There is something to read, or nothing will come any more.</summary>
    /// <param name="socket">Must outlive this.</param>
    /// <param name="continuesInline">
    /// What waited goes on on the watcher's thread, on which all that is read this way depends: it must neither block nor take long. Spares
    /// a thread of the pool its wake-up.
    /// </param>
    internal static ReadinessSignal ForReading(SafeHandle socket, bool continuesInline = false) =>
        new(DescriptorWatcher.Reading, socket, DescriptorEvents.Readable, continuesInline);

    /// <summary>There is room to write.</summary>
    internal static ReadinessSignal ForWriting(SafeHandle socket) =>
        new(DescriptorWatcher.Shared, socket, DescriptorEvents.Writable, continuesInline: false);

    /// <summary>Completes when it is ready, or the connection is over: the next attempt tells which.</summary>
    /// <exception cref="UnixException">The socket can't be watched.</exception>
    internal ValueTask WaitAsync()
    {
        // Reset first: a report can come before arming returns.
        _core.Reset();
        if (_registration is null)
        {
            _registration = _watcher.Watch(_socket, _events, this);
        }
        else
        {
            _registration.Arm(_events);
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
