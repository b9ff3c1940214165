namespace BarBroker.Unix;

/// <summary>Turns the end of a process into a cancelled token, through its pidfd.</summary>
internal sealed class ProcessExitWatch : IDescriptorObserver, IThreadPoolWorkItem, IDisposable
{
    private readonly OwnedDescriptor _pidfd;
    private readonly CancellationTokenSource _exited = new();
    private readonly DescriptorWatcher.Registration _registration;
    private int _owners = 1;

    /// <summary>Takes over <paramref name="pidfd"/>.</summary>
    /// <exception cref="UnixException">It can't be watched; it is closed.</exception>
    internal ProcessExitWatch(OwnedDescriptor pidfd)
    {
        _pidfd = pidfd;
        try
        {
            _registration = DescriptorWatcher.Shared.Watch(pidfd, DescriptorEvents.Readable | DescriptorEvents.Once, this);
        }
        catch
        {
            pidfd.Dispose();
            throw;
        }
    }

    /// <summary>Is cancelled once every thread of the process has ended. Stays valid after disposal.</summary>
    internal CancellationToken Exited => _exited.Token;

    void IDescriptorObserver.OnReady() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    void IThreadPoolWorkItem.Execute() => _exited.Cancel();

    /// <summary>Makes the watch one owner's more: it ends when each has disposed it. Null when it has ended already.</summary>
    internal ProcessExitWatch? TryShare()
    {
        int owners = Volatile.Read(ref _owners);
        while (owners > 0)
        {
            int found = Interlocked.CompareExchange(ref _owners, owners + 1, owners);
            if (found == owners)
            {
                return this;
            }

            owners = found;
        }

        return null;
    }

    /// <summary>Ends the watch with its last owner; the token no longer changes then, save by an end that was on its way.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _owners) != 0)
        {
            return;
        }

        // The source itself is not disposed: a report may be under way, and tokens of it are in others' hands.
        _registration.Dispose();
        _pidfd.Dispose();
    }
}
