using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>What a watcher hears.</summary>
internal abstract record LeaseEvent;

/// <summary>
/// Every lease of the connection whose end was not told yet: at the start, and again when events were lost because the watcher was
/// too slow.
/// </summary>
/// <param name="Leases">The leases.</param>
/// <param name="Suspended">Which of their devices are suspended.</param>
internal sealed record LeaseSnapshot(ImmutableArray<LeaseInfo> Leases, ImmutableArray<DeviceSuspendedEvent> Suspended) : LeaseEvent;

/// <summary>A device of which the connection has leases can't be reached for a while.</summary>
/// <param name="Device">Its name.</param>
/// <param name="Reason">Why.</param>
internal sealed record DeviceSuspendedEvent(string Device, SuspendReason Reason) : LeaseEvent;

/// <summary>It can be reached again.</summary>
/// <param name="Device">Its name.</param>
/// <param name="WasReset">What its registers held may be gone.</param>
internal sealed record DeviceResumedEvent(string Device, bool WasReset) : LeaseEvent;

/// <summary>A lease will end.</summary>
/// <param name="Id">Which.</param>
/// <param name="Reason">Why.</param>
/// <param name="Time">When, by the wall clock of the moment.</param>
internal sealed record LeaseEndingEvent(LeaseId Id, EndReason Reason, DateTimeOffset Time) : LeaseEvent;

/// <summary>A lease ended.</summary>
/// <param name="Id">Which.</param>
/// <param name="Reason">Why.</param>
/// <param name="Confirmed">The kernel confirmed that nobody reaches the range through it any more.</param>
internal sealed record LeaseEndedEvent(LeaseId Id, EndReason Reason, bool Confirmed) : LeaseEvent;

/// <summary>The events of one connection, for its one watcher. Holds a bounded number of them, whatever the watcher does.</summary>
internal sealed class LeaseFeed : IDisposable
{
    private readonly Lock _lock;
    private readonly int _capacity;
    private readonly Func<LeaseSnapshot> _takeSnapshot;
    private readonly Action<LeaseFeed> _detach;
    private readonly Queue<LeaseEvent> _events = [];
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _news;

    // As if events had been lost before the first.
    private bool _owesSnapshot = true;
    private bool _completed;

    /// <param name="tableLock">The table's lock: events and snapshots are in one order.</param>
    /// <param name="capacity">Events that may wait.</param>
    /// <param name="takeSnapshot">Called under the lock.</param>
    /// <param name="detach">Called under the lock, when the watcher has left.</param>
    public LeaseFeed(Lock tableLock, int capacity, Func<LeaseSnapshot> takeSnapshot, Action<LeaseFeed> detach)
    {
        _lock = tableLock;
        _capacity = capacity;
        _takeSnapshot = takeSnapshot;
        _detach = detach;
    }

    /// <summary>Completes when the watcher has left.</summary>
    public Task Left => _left.Task;

    /// <summary>The events, until the connection or the table comes to its end. For one reader.</summary>
    public async IAsyncEnumerable<LeaseEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            LeaseEvent? next;
            Task? news;
            lock (_lock)
            {
                next = TakeNext();
                news = next is null && !_completed ? WaitForNews() : null;
            }

            if (next is not null)
            {
                yield return next;
            }
            else if (news is not null)
            {
                await news.WaitAsync(cancellationToken);
            }
            else
            {
                yield break;
            }
        }
    }

    /// <summary>Under the lock.</summary>
    public void Publish(LeaseEvent happened)
    {
        if (!_owesSnapshot && _events.Count == _capacity)
        {
            _owesSnapshot = true;
            _events.Clear();
        }

        if (!_owesSnapshot)
        {
            _events.Enqueue(happened);
        }

        _news?.TrySetResult();
    }

    /// <summary>Nothing comes any more. Under the lock.</summary>
    public void Complete()
    {
        _completed = true;
        _news?.TrySetResult();
    }

    /// <summary>The watcher has left.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _detach(this);
        }

        _left.TrySetResult();
    }

    private LeaseEvent? TakeNext()
    {
        if (_owesSnapshot)
        {
            _owesSnapshot = false;
            return _takeSnapshot();
        }

        return _events.TryDequeue(out LeaseEvent? next) ? next : null;
    }

    private Task WaitForNews()
    {
        _news = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return _news.Task;
    }
}
