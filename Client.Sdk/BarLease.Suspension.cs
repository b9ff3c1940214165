namespace BarBroker.Client;

public sealed partial class BarLease
{
    private DeviceSuspension? _suspension;
    private TaskCompletionSource<bool>? _resumed;
    private Task _told = Task.CompletedTask;

    /// <summary>
    /// The broker is about to make the device unreachable, or just did: accesses throw <see cref="DeviceSuspendedException"/> until
    /// <see cref="DeviceResumed"/>. Handlers run on the thread pool, one after the other, in the order of what happened.
    /// </summary>
    public event EventHandler<DeviceSuspendedEventArgs>? DeviceSuspended;

    /// <summary>The device can be reached again, through the same mappings; a driver sets it up anew if it was reset.</summary>
    public event EventHandler<DeviceResumedEventArgs>? DeviceResumed;

    /// <summary>
    /// Set while the device can't be reached, as far as the broker's word of it has arrived: an access may throw
    /// <see cref="DeviceSuspendedException"/> a moment before. Null while it can, and when the lease is over.
    /// </summary>
    public DeviceSuspension? Suspension
    {
        get
        {
            lock (_lock)
            {
                return _suspension;
            }
        }
    }

    /// <summary>
    /// Completes once the device can be reached, at once if the broker has not said that it can't. What an access that threw
    /// <see cref="DeviceSuspendedException"/> waits for before it is tried again; since the broker's word may come a moment after the
    /// exception, the access may then throw once more.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>
    /// The device was reset meanwhile, or may have been: what its registers held may be gone. False is no word on that when this completed at
    /// once, before the broker's word came: whoever must know listens to <see cref="DeviceResumed"/>.
    /// </returns>
    /// <exception cref="LeaseRevokedException">The lease is over, or ended while it was waited for.</exception>
    public Task<bool> WaitUntilResumedAsync(CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            if (_endReason is not null)
            {
                return Task.FromException<bool>(Over());
            }

            return _resumed is null ? Task.FromResult(false) : _resumed.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The broker says that the device can't be reached.</summary>
    internal void Suspend(DeviceSuspension suspension)
    {
        lock (_lock)
        {
            if (_endReason is not null || _suspension is not null)
            {
                return;
            }

            _suspension = suspension;
            _resumed = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            Tell(() => DeviceSuspended?.Invoke(this, new DeviceSuspendedEventArgs(suspension)));
        }
    }

    /// <summary>The broker says that it can be.</summary>
    internal void Resume(bool wasReset)
    {
        lock (_lock)
        {
            if (_suspension is null)
            {
                return;
            }

            _suspension = null;
            _resumed!.SetResult(wasReset);
            _resumed = null;
            Tell(() => DeviceResumed?.Invoke(this, new DeviceResumedEventArgs(wasReset)));
        }
    }

    /// <summary>Whoever waits for the device waits in vain. Under the lock.</summary>
    private void EndSuspension()
    {
        _suspension = null;
        _resumed?.SetException(Over());
        _ = _resumed?.Task.Exception;
        _resumed = null;
    }

    private LeaseRevokedException Over() => new(Id, $"{_info} is over.");

    /// <summary>Not on this thread, for the reason that <see cref="End"/> gives; in order. Under the lock.</summary>
    private void Tell(Action handlers) => _told = _told.ContinueWith(_ => handlers(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
}
