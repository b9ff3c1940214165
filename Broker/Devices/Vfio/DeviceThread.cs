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

    private readonly BlockingCollection<Call> _calls = [];
    private readonly ITimer _watchdog;
    private volatile string _current = "";

    /// <param name="name">For people: /proc/PID/task/TID/comm shows its first 15 bytes.</param>
    /// <param name="onOverdue">Is told the name of each call that takes longer than <see cref="Overdue"/>.</param>
    /// <param name="time">The clock.</param>
    public DeviceThread(string name, Action<string> onOverdue, TimeProvider time)
    {
        _watchdog = time.CreateTimer(_ => onOverdue(_current), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        new Thread(Run) { IsBackground = true, Name = name }.Start();
    }

    /// <exception cref="ObjectDisposedException">The thread takes no more calls.</exception>
    public Task<T> RunAsync<T>(string name, Func<T> call)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            _calls.Add(new Call(name, () => Complete(done, call)));
        }
        catch (InvalidOperationException)
        {
            throw new ObjectDisposedException(nameof(DeviceThread));
        }

        return done.Task;
    }

    /// <summary>Takes no more calls; the thread ends once it has made those that it has.</summary>
    public void Dispose() => _calls.CompleteAdding();

#pragma warning disable CA1031 // Whatever a call throws belongs to whoever asked for it, not to this thread.
    private static void Complete<T>(TaskCompletionSource<T> done, Func<T> call)
    {
        try
        {
            done.SetResult(call());
        }
        catch (Exception exception)
        {
            done.SetException(exception);
        }
    }
#pragma warning restore CA1031

    private void Run()
    {
        foreach (Call call in _calls.GetConsumingEnumerable())
        {
            _current = call.Name;
            _watchdog.Change(Overdue, Timeout.InfiniteTimeSpan);
            call.Run();
            _watchdog.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        _watchdog.Dispose();
        _calls.Dispose();
    }

    private readonly record struct Call(string Name, Action Run);
}
