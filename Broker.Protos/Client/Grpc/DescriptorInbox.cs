using BarBroker.Grpc;
using BarBroker.Unix;

namespace BarBroker.Client.Grpc;

/// <summary>
/// The descriptors that arrived on a connection, by their number, until the call that is meant claims them. Numbers are counted, not
/// sent: the kernel loses none silently, so the n-th arrival is the n-th that the broker sent.
/// </summary>
internal sealed class DescriptorInbox : IDescriptorSink
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, Entry> _entries = [];

    // Acquires under way by their own number, the oldest first.
    private readonly SortedSet<ulong> _acquires = [];
    private ulong _lastAcquire;
    private ulong _nextSerial;
    private bool _closed;

    /// <summary>
    /// Begins an Acquire: call it before the request is sent, dispose the result once the reply is dealt with. A descriptor that nobody
    /// claimed is closed when the last Acquire that was under way at its arrival ends.
    /// </summary>
    public AcquireScope BeginAcquire()
    {
        lock (_gate)
        {
            _acquires.Add(++_lastAcquire);
            return new AcquireScope(this, _lastAcquire);
        }
    }

    /// <summary>
    /// Takes descriptor number <paramref name="serial"/>. It has arrived when the reply that names it is read, save in a burst of replies
    /// shorter than their number of descriptors: hence the task, which almost always is complete.
    /// </summary>
    /// <exception cref="DescriptorLostException">It did not get into this process, or is another file than <paramref name="inode"/>.</exception>
    /// <exception cref="RpcException">UNAVAILABLE: the connection ended before it came.</exception>
    public async ValueTask<OwnedDescriptor> ClaimAsync(ulong serial, ulong inode, CancellationToken cancellationToken)
    {
        Entry entry = Take(serial);
        OwnedDescriptor? descriptor;
        try
        {
            descriptor = entry.Arrival is null ? entry.Descriptor : await entry.Arrival.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Abandon(serial, entry);
            throw;
        }

        if (descriptor is null)
        {
            throw new DescriptorLostException(
                "The broker sent a descriptor, but this process could not take it: its table of open files is full. Close some, or raise RLIMIT_NOFILE.");
        }

        ulong actual = Files.InodeOf(descriptor);
        if (actual != inode)
        {
            descriptor.Dispose();
            throw new DescriptorLostException($"Descriptor {serial} has inode {actual}, and the broker announced {inode}: the connection is out of step.");
        }

        return descriptor;
    }

    /// <inheritdoc/>
    void IDescriptorSink.Received(OwnedDescriptor descriptor) => Arrive(descriptor);

    /// <inheritdoc/>
    void IDescriptorSink.Lost() => Arrive(descriptor: null);

    /// <summary>The connection is over: so are its leases, and with them every descriptor that nobody claimed.</summary>
    internal void Close()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (Entry entry in _entries.Values)
            {
                entry.Descriptor?.Dispose();
                entry.Arrival?.TrySetException(ChannelStatuses.ConnectionLost());
            }

            _entries.Clear();
        }
    }

    private Entry Take(ulong serial)
    {
        lock (_gate)
        {
            if (_entries.Remove(serial, out Entry? entry) && entry.Arrival is null)
            {
                return entry;
            }

            if (_closed)
            {
                throw ChannelStatuses.ConnectionLost();
            }

            if (entry is not null || serial < _nextSerial)
            {
                throw new DescriptorLostException($"Descriptor {serial} was claimed already, or closed because no Acquire was under way for it.");
            }

            entry = new Entry { Arrival = new TaskCompletionSource<OwnedDescriptor?>(TaskCreationOptions.RunContinuationsAsynchronously) };
            _entries.Add(serial, entry);
            return entry;
        }
    }

    /// <summary>Whoever waited has given up; the descriptor may have come at the same moment, or may come later.</summary>
    private void Abandon(ulong serial, Entry entry)
    {
        lock (_gate)
        {
            if (entry.Arrival!.Task.IsCompletedSuccessfully)
            {
                entry.Arrival.Task.Result?.Dispose();
            }
            else if (_entries.TryGetValue(serial, out Entry? current) && current == entry)
            {
                _entries.Remove(serial);
            }
        }
    }

    private void Arrive(OwnedDescriptor? descriptor)
    {
        lock (_gate)
        {
            ulong serial = _nextSerial++;
            if (_entries.Remove(serial, out Entry? awaited))
            {
                awaited.Arrival!.SetResult(descriptor);
            }
            else if (_acquires.Count == 0 || _closed)
            {
                descriptor?.Dispose();
            }
            else
            {
                _entries.Add(serial, new Entry { Descriptor = descriptor, LastAcquire = _lastAcquire });
            }
        }
    }

    private void EndAcquire(ulong acquire)
    {
        lock (_gate)
        {
            bool wasOldest = _acquires.Min == acquire;
            if (!_acquires.Remove(acquire) || !wasOldest || _entries.Count == 0)
            {
                return;
            }

            ulong oldest = _acquires.Count == 0 ? ulong.MaxValue : _acquires.Min;
            foreach ((ulong serial, Entry entry) in _entries)
            {
                if (entry.Arrival is null && entry.LastAcquire < oldest)
                {
                    entry.Descriptor?.Dispose();
                    _entries.Remove(serial);
                }
            }
        }
    }

    /// <summary>An Acquire under way.</summary>
    internal readonly struct AcquireScope : IDisposable
    {
        private readonly DescriptorInbox _inbox;
        private readonly ulong _acquire;

        internal AcquireScope(DescriptorInbox inbox, ulong acquire)
        {
            _inbox = inbox;
            _acquire = acquire;
        }

        /// <summary>The Acquire is over.</summary>
        public void Dispose() => _inbox.EndAcquire(_acquire);
    }

    /// <summary>Either arrived, with a descriptor or lost, or awaited.</summary>
    private sealed class Entry
    {
        internal OwnedDescriptor? Descriptor { get; init; }

        /// <summary>The newest Acquire that was under way when it came.</summary>
        internal ulong LastAcquire { get; init; }

        internal TaskCompletionSource<OwnedDescriptor?>? Arrival { get; init; }
    }
}
