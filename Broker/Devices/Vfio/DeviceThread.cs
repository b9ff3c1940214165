using System.Collections.Concurrent;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// A thread for calls that the kernel may hold up without a limit, one after the other: the thread pool has none to spare
/// for those. A call that does not come back is reported; it can't be given up.
/// </summary>
internal sealed class DeviceThread : IDisposable
{
    /// <summary>Calls take microseconds; a reset in progress may hold them up for seconds.</summary>
    internal static readonly TimeSpan Overdue = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly BlockingCollection<Call> _calls = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<string> _onOverdue;
    private readonly Action<string> _onReturned;
    private readonly TimeProvider _time;
    private readonly ITimer _watchdog;
    private Call? _current;
    private long _started;
    private bool _isOverdue;

    /// <param name="name">For people: /proc/PID/task/TID/comm shows its first 15 bytes.</param>
    /// <param name="onOverdue">Is told the name of each call that takes longer than <see cref="Overdue"/>. Must not call this object.</param>
    /// <param name="onReturned">Is told the name of each of them that comes back after all. Must not call this object.</param>
    /// <param name="time">The clock.</param>
    public DeviceThread(string name, Action<string> onOverdue, Action<string> onReturned, TimeProvider time)
    {
        _onOverdue = onOverdue;
        _onReturned = onReturned;
        _time = time;
        _watchdog = time.CreateTimer(_ => CheckCurrent(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        new Thread(Run) { IsBackground = true, Name = name }.Start();
    }

    /// <summary>Completes when it has been disposed and no call is left.</summary>
    public Task Ended => _ended.Task;

    /// <exception cref="ObjectDisposedException">The thread takes no more calls.</exception>
    public Task<T> RunAsync<T>(string name, Func<T> call)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            _calls.Add(new Call(name, () => Make(done, call), failure => done.TrySetException(failure)));
        }
        catch (InvalidOperationException)
        {
            throw new ObjectDisposedException(nameof(DeviceThread));
        }

        return done.Task;
    }

    /// <summary>Fails the calls that have not begun: they will not be made.</summary>
    public void FailWaiting(Func<Exception> failure)
    {
        while (_calls.TryTake(out Call? waiting))
        {
            waiting.Fail(failure());
        }
    }

    /// <summary>Takes no more calls; the thread ends once it has made those that it has.</summary>
    public void Dispose() => _calls.CompleteAdding();

#pragma warning disable CA1031 // Whatever a call throws belongs to whoever asked for it, not to this thread.
    /// <summary>Makes the call. The result tells whoever asked for it.</summary>
    private static Action Make<T>(TaskCompletionSource<T> done, Func<T> call)
    {
        try
        {
            T result = call();
            return () => done.SetResult(result);
        }
        catch (Exception exception)
        {
            return () => done.SetException(exception);
        }
    }
#pragma warning restore CA1031

    private void Run()
    {
        foreach (Call call in _calls.GetConsumingEnumerable())
        {
            lock (_lock)
            {
                _current = call;
                _started = _time.GetTimestamp();
                _watchdog.Change(Overdue, Timeout.InfiniteTimeSpan);
            }

            Action tell = call.Make();
            lock (_lock)
            {
                _current = null;
                _watchdog.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                if (_isOverdue)
                {
                    _isOverdue = false;
                    _onReturned(call.Name);
                }
            }

            tell();
        }

        _watchdog.Dispose();
        _ended.SetResult();
    }

    /// <summary>The watchdog. It may come late, for a call that has returned while the next one has just begun; and by its clock a little early.</summary>
    private void CheckCurrent()
    {
        lock (_lock)
        {
            if (_current is not { } call || _isOverdue)
            {
                return;
            }

            TimeSpan left = Overdue - _time.GetElapsedTime(_started);
            if (left > TimeSpan.Zero)
            {
                _watchdog.Change(left + TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
                return;
            }

            _isOverdue = true;
            _onOverdue(call.Name);
        }
    }

    private sealed record Call(string Name, Func<Action> Make, Action<Exception> Fail);
}
