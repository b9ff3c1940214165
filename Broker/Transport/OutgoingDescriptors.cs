using System.Runtime.InteropServices;
using BarBroker.Transport.Counting;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>The descriptors of one connection: queued for the send loop, then sent and perhaps unread.</summary>
internal sealed class OutgoingDescriptors
{
    private readonly Lock _gate = new();
    private readonly Queue<OwnedDescriptor> _queue = new();
    private readonly SafeHandle _socket;
    private readonly DescriptorShare _share;
    private readonly int _limit;
    private int _unread;
    private ulong _nextSerial;
    private bool _refusing;
    private bool _closed;

    /// <param name="socket">Is asked what the peer has read; must outlive <see cref="Close"/>.</param>
    /// <param name="share">Its user's part of the budget.</param>
    /// <param name="limit">Of this one.</param>
    internal OutgoingDescriptors(SafeHandle socket, DescriptorShare share, int limit)
    {
        _socket = socket;
        _share = share;
        _limit = limit;
        share.Budget.Add(this);
    }

    internal DescriptorShare Share => _share;

    /// <summary>Takes over <paramref name="descriptor"/>, closing it when it throws.</summary>
    /// <returns>Its number.</returns>
    internal ulong Enqueue(OwnedDescriptor descriptor)
    {
        // Before the lock: this may look into every other connection.
        if (_share.TryReserve() is { } refused)
        {
            descriptor.Dispose();
            throw _share.Exhausted(refused);
        }

        return EnqueueReserved(descriptor);
    }

    /// <summary>The same for a descriptor that has its place in the budget, which is taken over with it.</summary>
    internal ulong EnqueueReserved(OwnedDescriptor descriptor)
    {
        bool reserved = true;
        try
        {
            lock (_gate)
            {
                if (_refusing)
                {
                    throw new IOException("The connection has ended.");
                }

                if (_queue.Count + _unread >= _limit)
                {
                    RefreshLocked();
                }

                if (_queue.Count + _unread >= _limit)
                {
                    _share.Budget.Count(RefusedDescriptor.Connection);
                    throw new DescriptorBudgetException($"{_limit} descriptors are under way on this connection already: read them first.");
                }

                _queue.Enqueue(descriptor);
                reserved = false;
                return _nextSerial++;
            }
        }
        finally
        {
            if (reserved)
            {
                _share.Release(1);
                descriptor.Dispose();
            }
        }
    }

    /// <summary>The next to send, still owned here, and how many are queued.</summary>
    internal OwnedDescriptor? Peek(out int queued)
    {
        lock (_gate)
        {
            queued = _queue.Count;
            return queued > 0 ? _queue.Peek() : null;
        }
    }

    /// <summary>The one that <see cref="Peek"/> showed is in the socket: the kernel holds its own reference now.</summary>
    internal void MarkSent()
    {
        OwnedDescriptor sent;
        lock (_gate)
        {
            sent = _queue.Dequeue();
            _unread++;
        }

        sent.Dispose();
    }

    /// <summary>Finds out what the peer has read, and gives its places back.</summary>
    internal void Refresh()
    {
        lock (_gate)
        {
            RefreshLocked();
        }
    }

    /// <summary>From here on nothing more is queued; the connection is over.</summary>
    internal void Refuse()
    {
        lock (_gate)
        {
            _refusing = true;
        }
    }

    /// <summary>Closes what was not sent. Call it once the send loop has ended, before the socket is closed.</summary>
    /// <returns>How many the peer has not read: their places stay taken, and are the caller's to give back.</returns>
    internal int Close()
    {
        _share.Budget.Remove(this);
        lock (_gate)
        {
            RefreshLocked();
            _refusing = true;
            _closed = true;
            _share.Release(_queue.Count);
            while (_queue.TryDequeue(out OwnedDescriptor? descriptor))
            {
                descriptor.Dispose();
            }

            return _unread;
        }
    }

    private void RefreshLocked()
    {
        if (_closed || _unread == 0)
        {
            return;
        }

        int bound = DescriptorSocket.GetUnreadMemory(_socket) / TransportLimits.MinMemoryPerMessage;
        if (bound < _unread)
        {
            _share.Release(_unread - bound);
            _unread = bound;
        }
    }
}
