using BarBroker.Client.Mapping;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Client.Leases;

/// <summary>
/// The live leases of a connection, and what Watch says of them. Replies to Acquire and events of Watch come on streams of their own, so
/// an end can be heard of before the lease is, and a snapshot can be older than a lease that it does not name. Nothing is lost either way: early
/// ends are kept while an Acquire is under way, and the kernel is asked about leases that a snapshot does not name.
/// </summary>
internal sealed partial class LeaseBook
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, BarLease> _live = [];

    // Each with the newest Acquire that was under way when it was heard of: the lease can be none but theirs.
    private readonly Dictionary<ulong, (LeaseEnded Ended, ulong NewestAcquisition)> _endedEarly = [];

    // Announced while an Acquire is under way whose lease it may be, as above.
    private readonly Dictionary<ulong, (LeaseNotice Notice, ulong NewestAcquisition)> _announcedEarly = [];

    // Acquires under way by their own number, the oldest first.
    private readonly SortedSet<ulong> _acquisitions = [];
    private ulong _newestAcquisition;
    private long _snapshots;
    private bool _closed;

    /// <summary>An Acquire is about to be sent.</summary>
    public Acquisition BeginAcquisition()
    {
        lock (_lock)
        {
            _acquisitions.Add(++_newestAcquisition);
            return new Acquisition(this, _newestAcquisition, _snapshots);
        }
    }

    /// <summary>Applies what Watch said.</summary>
    public void Apply(WatchEvent change)
    {
        switch (change.EventCase)
        {
            case WatchEvent.EventOneofCase.Snapshot:
                Reconcile(change.Snapshot);
                break;
            case WatchEvent.EventOneofCase.LeaseEnded:
                End(change.LeaseEnded);
                break;
            case WatchEvent.EventOneofCase.LeaseEnding:
                Announce(change.LeaseEnding.LeaseId, WireTypes.ParseNotice(change.LeaseEnding));
                break;
            case WatchEvent.EventOneofCase.DeviceSuspended:
                Suspend(change.DeviceSuspended.Device, WireTypes.ParseSuspension(change.DeviceSuspended));
                break;
            case WatchEvent.EventOneofCase.DeviceResumed:
                Resume(change.DeviceResumed.Device, change.DeviceResumed.Reset);
                break;
            default:
                // An event of a newer broker, which does not end a lease.
                break;
        }
    }

    /// <summary>The connection is over, and with it every lease, those to come included.</summary>
    public void Close()
    {
        BarLease[] leases;
        lock (_lock)
        {
            _closed = true;
            leases = [.. _live.Values];
            _live.Clear();
        }

        foreach (BarLease lease in leases)
        {
            EndByConnection(lease);
        }
    }

    /// <summary>Its holder has released it.</summary>
    public void Remove(ulong leaseId)
    {
        lock (_lock)
        {
            _live.Remove(leaseId);
        }
    }

    /// <summary>How many ends of leases that nobody has yet are kept.</summary>
    internal int EndedEarly
    {
        get
        {
            lock (_lock)
            {
                return _endedEarly.Count;
            }
        }
    }

    /// <summary>The leases at this moment.</summary>
    public BarLease[] GetLeases()
    {
        lock (_lock)
        {
            return [.. _live.Values];
        }
    }

    private static void EndByConnection(BarLease lease) => lease.End(LeaseEndReason.ConnectionClosed, "the connection to the broker is over");

    private void Add(BarLease lease, long snapshotsBefore)
    {
        LeaseEnded? ended = null;
        LeaseNotice? notice = null;
        bool closed;
        bool snapshotSince;
        lock (_lock)
        {
            closed = _closed;
            if (_endedEarly.Remove(lease.Id, out (LeaseEnded Ended, ulong) early))
            {
                ended = early.Ended;
            }

            if (_announcedEarly.Remove(lease.Id, out (LeaseNotice Notice, ulong) announced))
            {
                notice = announced.Notice;
            }

            snapshotSince = _snapshots != snapshotsBefore;
            if (!closed && ended is null)
            {
                _live.Add(lease.Id, lease);
                SuspendIfItsDeviceIs(lease);
            }
        }

        if (notice is not null)
        {
            lease.Announce(notice);
        }

        if (closed)
        {
            EndByConnection(lease);
        }
        else if (ended is not null)
        {
            lease.End(WireTypes.ParseEndReason(ended.Reason), ended.Message);
        }
        else if (snapshotSince)
        {
            EndIfRevoked(lease);
        }
    }

    private void EndAcquisition(ulong acquisition)
    {
        lock (_lock)
        {
            bool wasOldest = _acquisitions.Min == acquisition;
            if (!_acquisitions.Remove(acquisition) || !wasOldest)
            {
                return;
            }

            // A process that never stops acquiring must not keep the end of every lease that it ever had.
            ulong oldest = _acquisitions.Count == 0 ? ulong.MaxValue : _acquisitions.Min;
            ForgetBefore(oldest, _endedEarly);
            ForgetBefore(oldest, _announcedEarly);
        }
    }

    private static void ForgetBefore<T>(ulong oldest, Dictionary<ulong, (T What, ulong NewestAcquisition)> early)
    {
        foreach ((ulong lease, (_, ulong newest)) in early)
        {
            if (newest < oldest)
            {
                early.Remove(lease);
            }
        }
    }

    private void Announce(ulong leaseId, LeaseNotice notice)
    {
        BarLease? lease;
        lock (_lock)
        {
            if (!_live.TryGetValue(leaseId, out lease) && _acquisitions.Count > 0)
            {
                _announcedEarly[leaseId] = (notice, _newestAcquisition);
            }
        }

        lease?.Announce(notice);
    }

    private void End(LeaseEnded ended)
    {
        BarLease? lease;
        lock (_lock)
        {
            if (!_live.Remove(ended.LeaseId, out lease) && _acquisitions.Count > 0)
            {
                _endedEarly[ended.LeaseId] = (ended, _newestAcquisition);
            }
        }

        lease?.End(WireTypes.ParseEndReason(ended.Reason), ended.Message);
    }

    private void Reconcile(WatchSnapshot snapshot)
    {
        HashSet<ulong> named = [.. snapshot.Leases.Select(lease => lease.LeaseId)];
        BarLease[] missing;
        lock (_lock)
        {
            _snapshots++;
            ReconcileSuspensions(snapshot);
            missing = [.. _live.Values.Where(lease => !named.Contains(lease.Id))];
        }

        foreach (BarLease lease in missing)
        {
            EndIfRevoked(lease);
        }

        foreach (Lease lease in snapshot.Leases)
        {
            if (WireTypes.ParseNotice(lease) is { } notice)
            {
                Announce(lease.LeaseId, notice);
            }
        }
    }

    private void EndIfRevoked(BarLease lease)
    {
        try
        {
            if (!LeaseMapping.IsRevoked(lease.Descriptor, lease.Length))
            {
                return;
            }
        }
        catch (Exception exception) when (exception is ObjectDisposedException or UnixException)
        {
            // Released meanwhile; or the kernel can't say now, and the next access will.
            return;
        }

        Remove(lease.Id);
        lease.End(LeaseEndReason.Unknown, "the memory was taken back");
    }

    /// <summary>An Acquire under way.</summary>
    public readonly struct Acquisition(LeaseBook book, ulong number, long snapshotsBefore) : IDisposable
    {
        /// <summary>It got a lease.</summary>
        public void Add(BarLease lease) => book.Add(lease, snapshotsBefore);

        /// <summary>It is over.</summary>
        public void Dispose() => book.EndAcquisition(number);
    }
}
