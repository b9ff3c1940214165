using System.Collections.Immutable;
using BarBroker.Devices;

namespace BarBroker.Leases;

// Devices come, are suspended and go. One name can stand for several devices in turn: a device that returns is another one,
// and leases of the one before it are in nobody's way.
internal sealed partial class LeaseTable
{
    /// <summary>
    /// How many leases of a device are quarantined may have changed. Called outside of the lock, so two calls may overlap:
    /// <see cref="CountQuarantined"/> tells what is.
    /// </summary>
    public event Action<IBarDevice>? QuarantineChanged;

    /// <summary>New leases are refused, and all there are end.</summary>
    public bool IsShuttingDown
    {
        get
        {
            lock (_lock)
            {
                return _shuttingDown;
            }
        }
    }

    /// <summary>Takes a device in, in place of the one of its name, which must have been given back to the kernel (see <see cref="SettleClosed"/>).</summary>
    public void Attach(IBarDevice device)
    {
        lock (_lock)
        {
            _devices[device.Name] = new DeviceLeases(device);
            foreach (LeaseHolder holder in _holders.Values)
            {
                TellResumed(holder, device.Name, wasReset: true);
            }
        }

        // It lives as long as its device, and the table as long as the process: nothing to unregister.
        if (device is IControlledDevice controlled)
        {
            controlled.Changed += OnDeviceChanged;
        }

        device.Gone.UnsafeRegister(_ => OnDeviceGone(device), null);
    }

    /// <summary>Ends all leases of a device that is gone. Joins ends that are under way; tries quarantined ones again.</summary>
    public async Task RetireAsync(IBarDevice device)
    {
        EndBatch batch;
        lock (_lock)
        {
            batch = BeginEnd(LeasesOf(device), EndReason.DeviceGone);
        }

        await FinishEndAsync(batch);
    }

    /// <summary>
    /// The device was given back to the kernel, which took its memory from everybody with that: of its leases those are over too whose end it
    /// could not confirm before.
    /// </summary>
    public void SettleClosed(IBarDevice device)
    {
        ImmutableArray<Lease> quarantined;
        lock (_lock)
        {
            quarantined = [.. LeasesOf(device).Where(lease => lease.State is LeaseState.Quarantined)];
            foreach (Lease lease in quarantined)
            {
                lease.BeginEnd(EndReason.DeviceGone);
            }
        }

        if (!quarantined.IsEmpty)
        {
            LeaseLog.QuarantineClosed(_logger, device.Name, quarantined.Length);
            Settle(quarantined, confirmed: true);
        }
    }

    /// <summary>Tries to end what of a device is quarantined.</summary>
    public async Task RetryQuarantinedAsync(IBarDevice device)
    {
        EndBatch batch;
        lock (_lock)
        {
            batch = BeginEnd(LeasesOf(device).Where(lease => lease.State is LeaseState.Quarantined), EndReason.Revoked);
        }

        if (!batch.All.IsEmpty)
        {
            LeaseLog.QuarantineRetried(_logger, device.Name, batch.All.Length);
            await FinishEndAsync(batch);
        }
    }

    /// <summary>How many leases of a device are quarantined.</summary>
    public int CountQuarantined(IBarDevice device)
    {
        lock (_lock)
        {
            return LeasesOf(device).Count(lease => lease.State is LeaseState.Quarantined);
        }
    }

    private static void TellResumed(LeaseHolder holder, string device, bool wasReset)
    {
        if (holder.ToldSuspended.Remove(device))
        {
            holder.Feed?.Publish(new DeviceResumedEvent(device, wasReset));
        }
    }

    private ImmutableArray<Lease> LeasesOf(IBarDevice device) => [.. _leases.Values.Where(lease => lease.Request.Device == device)];

    /// <summary>The ranges of a device; null when another has taken its place.</summary>
    private DeviceLeases? CurrentOf(IBarDevice device)
        => _devices.TryGetValue(device.Name, out DeviceLeases? current) && current.Device == device ? current : null;

    private void OnDeviceGone(IBarDevice device)
    {
        EndBatch batch;
        lock (_lock)
        {
            batch = BeginEnd(LeasesOf(device), EndReason.DeviceGone);
        }

        LeaseLog.DeviceGone(_logger, device.Name, batch.All.Length);
        FinishInBackground(batch);
    }

    private void OnDeviceChanged(DeviceChange change)
    {
        if (change.Before.Suspended == change.Now.Suspended)
        {
            return;
        }

        lock (_lock)
        {
            if (CurrentOf(change.Device) is not { } device)
            {
                return;
            }

            device.Suspended = change.Now.Suspended;
            foreach (LeaseHolder holder in _holders.Values)
            {
                if (change.Now.Suspended is not { } reason)
                {
                    TellResumed(holder, change.Device.Name, change.WasReset);
                }
                else if (holder.Leases.Any(lease => lease.Request.Device == change.Device && lease.WasActive && !lease.EndWasTold))
                {
                    TellSuspended(holder, change.Device.Name, reason);
                }
            }
        }
    }

    /// <summary>For a lease that its holder is about to get: it was made before the device was suspended.</summary>
    private void TellIfSuspended(Lease lease)
    {
        if (CurrentOf(lease.Request.Device)?.Suspended is { } reason)
        {
            TellSuspended(lease.Holder, lease.Request.Device.Name, reason);
        }
    }

    private static void TellSuspended(LeaseHolder holder, string device, SuspendReason reason)
    {
        if (holder.ToldSuspended.Add(device))
        {
            holder.Feed?.Publish(new DeviceSuspendedEvent(device, reason));
        }
    }

    /// <summary>The suspended devices of a holder's leases, who knows of no others from then on.</summary>
    private ImmutableArray<DeviceSuspendedEvent> TakeSuspended(LeaseHolder holder)
    {
        holder.ToldSuspended.Clear();
        ImmutableArray<DeviceSuspendedEvent>.Builder suspended = ImmutableArray.CreateBuilder<DeviceSuspendedEvent>();
        foreach (Lease lease in holder.Leases.Where(lease => lease.WasActive && !lease.EndWasTold))
        {
            if (CurrentOf(lease.Request.Device) is { Suspended: { } reason } device && holder.ToldSuspended.Add(device.Device.Name))
            {
                suspended.Add(new DeviceSuspendedEvent(device.Device.Name, reason));
            }
        }

        return suspended.DrainToImmutable();
    }

    private void TellQuarantines(ImmutableArray<Lease> settled, bool confirmed)
    {
        foreach (IBarDevice device in settled.Where(lease => !confirmed || lease.WasQuarantined).Select(lease => lease.Request.Device).Distinct())
        {
            QuarantineChanged?.Invoke(device);
        }
    }
}
