using BarBroker.V1;

namespace BarBroker.Client.Leases;

// The broker tells of every suspension that it told of also the end, whatever leases there are by then. So a device is
// here exactly as long as the broker takes this connection to know that it is suspended.
internal sealed partial class LeaseBook
{
    private readonly Dictionary<string, DeviceSuspension> _suspensions = new(StringComparer.Ordinal);

    private void Suspend(string device, DeviceSuspension suspension)
    {
        lock (_lock)
        {
            _suspensions[device] = suspension;
            foreach (BarLease lease in _live.Values.Where(lease => lease.Device == device))
            {
                lease.Suspend(suspension);
            }
        }
    }

    private void Resume(string device, bool wasReset)
    {
        lock (_lock)
        {
            _suspensions.Remove(device);
            foreach (BarLease lease in _live.Values.Where(lease => lease.Device == device))
            {
                lease.Resume(wasReset);
            }
        }
    }

    /// <summary>Under the lock. Its device may have been suspended between the lease's making and its coming here.</summary>
    private void SuspendIfItsDeviceIs(BarLease lease)
    {
        if (_suspensions.TryGetValue(lease.Device, out DeviceSuspension? suspension))
        {
            lease.Suspend(suspension);
        }
    }

    /// <summary>Under the lock. What happened to a device that a snapshot does not name any more was lost: it may have been reset.</summary>
    private void ReconcileSuspensions(WatchSnapshot snapshot)
    {
        foreach (string device in _suspensions.Keys.Except(snapshot.Suspended.Select(suspended => suspended.Device)).ToArray())
        {
            Resume(device, wasReset: true);
        }

        foreach (DeviceSuspended suspended in snapshot.Suspended)
        {
            Suspend(suspended.Device, WireTypes.ParseSuspension(suspended));
        }
    }
}
