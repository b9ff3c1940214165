using System.Globalization;
using System.Runtime.InteropServices;
using BarBroker.Devices;
using BarBroker.Transport;
using BarBroker.Unix;

namespace BarBroker.Leases;

internal sealed partial class LeaseTable
{
    /// <summary>
    /// Makes a lease for <paramref name="connection"/> and sends its descriptor on its way. When this throws, there is no lease: if the
    /// kernel knew one already, it has been revoked.
    /// </summary>
    /// <exception cref="LeaseRefusedException">It can't be had.</exception>
    /// <exception cref="OperationCanceledException">The caller gave up in the meantime.</exception>
    /// <exception cref="UnixException">The kernel refused it for a reason that is none of the above.</exception>
    public async Task<AcquiredLease> AcquireAsync(IPeerConnection connection, LeaseRequest request, CancellationToken cancellationToken)
    {
        LeaseHolder holder = HolderOf(connection);
        Lease lease = Reserve(holder, request);
        ExportedLease exported;
        try
        {
            exported = await request.Device.ExportAsync(lease.Id, connection.Credentials.Uid, request.Ranges.Items, request.Options);
        }
        catch (Exception exception)
        {
            Withdraw(lease);

            // The device can be closed while the lease is on its way to it.
            Exception failure = exception is ObjectDisposedException ? new DeviceGoneException(request.Device.Name, exception) : exception;
            if (failure is not (DeviceSuspendedException or DeviceGoneException or DeviceStuckException or LeaseQuotaException))
            {
                // Of those the log has the cause already, or it is the client's.
                LogExportFailure(connection.Credentials.Uid, lease, exception);
            }

            throw Translate(failure);
        }

        // From here on the kernel knows the lease: whatever fails must end it.
        try
        {
            return Deliver(lease, exported, cancellationToken);
        }
        catch (Exception exception)
        {
            await EndUndeliveredAsync(lease);
            throw Translate(exception);
        }
    }

    /// <summary>Nobody is to fill the log by asking again and again.</summary>
    private void LogExportFailure(uint uid, Lease lease, Exception exception)
    {
        if (_warnings.Passes(LeaseLog.ExportFailedId, uid, out long more))
        {
            LeaseLog.ExportFailed(_logger, lease.Request.Device.Name, lease.Ranges, lease.Id, uid, more, exception);
        }
    }

    private Lease Reserve(LeaseHolder holder, LeaseRequest request)
    {
        lock (_lock)
        {
            ThrowIfShuttingDown();
            if (request.Device.ConditionOf().StuckIn is { } call)
            {
                throw Translate(new DeviceStuckException(request.Device.Name, call));
            }

            if (CurrentOf(request.Device) is not { } device || request.Device.Gone.IsCancellationRequested)
            {
                throw new LeaseRefusedException(LeaseRefusal.DeviceGone, $"Device '{request.Device.Name}' is gone: it was unplugged or unbound from vfio-pci. Try again once it is back.");
            }

            uint uid = holder.Connection.Credentials.Uid;
            ThrowIfOver(holder);
            ThrowIfBeyondLimits(holder, uid);
            _quotas.ThrowIfBeyond(request, uid);
            if (device.FindConflict(request) is { } other)
            {
                throw new LeaseRefusedException(LeaseRefusal.RangeLeased, DescribeConflict(request, other, holder));
            }

            Lease lease = new(new LeaseId(++_newest), request, holder, _time.GetUtcNow());
            device.Add(lease);
            _leases.Add(lease.Id, lease);
            holder.Leases.Add(lease);
            CollectionsMarshal.GetValueRefOrAddDefault(_leasesOfUser, uid, out _)++;
            _quotas.Add(request, uid);
            return lease;
        }
    }

    private AcquiredLease Deliver(Lease lease, ExportedLease exported, CancellationToken cancellationToken)
    {
        IPeerConnection connection = lease.Holder.Connection;
        ulong inode;
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            lock (_lock)
            {
                ThrowIfEnding(lease);
            }

            if (DescriptorReserve.IsTouchedBy(exported.Descriptor))
            {
                throw new UnixException("export a lease: hardly any descriptor is left to this process", Errno.TooManyFiles);
            }

            inode = Files.InodeOf(exported.Descriptor);
        }
        catch
        {
            exported.Descriptor.Dispose();
            throw;
        }

        // The connection owns the descriptor from here, also when this throws.
        ulong serial = connection.QueueDescriptor(exported.Descriptor);
        LeaseInfo info;
        lock (_lock)
        {
            ThrowIfEnding(lease);
            TellIfSuspended(lease);
            lease.Activate(exported.MemoryType, lease.Request.Terms.Time is { } time ? _clock.After(time) : null);
            _clock.Set(lease);
            info = ToInfo(lease);
        }

        LeaseLog.Acquired(_logger, info.Id, info.Ranges, info.Device, info.Access, exported.MemoryType, info.P2P, info.Peer.Uid, info.Peer.Pid, info.ConnectionId);
        return new AcquiredLease(info, serial, inode);
    }

    private void ThrowIfBeyondLimits(LeaseHolder holder, uint uid)
    {
        if (holder.Leases.Count >= _limits.PerConnection)
        {
            throw new LeaseRefusedException(LeaseRefusal.TooManyLeases, $"This connection has {holder.Leases.Count} leases, as many as one may have. Release some first.");
        }

        if (_leasesOfUser.GetValueOrDefault(uid) >= _limits.PerUser)
        {
            throw new LeaseRefusedException(LeaseRefusal.TooManyLeases, $"The processes of uid {uid} have {_limits.PerUser} leases together, as many as one user may have. Release some first.");
        }

        if (_leases.Count >= _limits.Total)
        {
            throw new LeaseRefusedException(LeaseRefusal.TooManyLeases, $"The broker has {_limits.Total} leases, as many as it can have. Try again later.");
        }
    }

    private static void ThrowIfOver(LeaseHolder holder)
    {
        if (holder.IsOver)
        {
            throw new LeaseRefusedException(LeaseRefusal.ConnectionEnded, "The connection has ended, and a lease would end with it.");
        }
    }

    /// <summary>Somebody wanted the end of the lease while it was being made.</summary>
    private static void ThrowIfEnding(Lease lease)
    {
        if (lease.Reason is not { } reason)
        {
            return;
        }

        throw reason switch
        {
            EndReason.Revoked => new LeaseRefusedException(LeaseRefusal.Revoked, "An administrator revoked the lease while it was being made."),
            EndReason.DeviceGone => new LeaseRefusedException(LeaseRefusal.DeviceGone, $"Device '{lease.Request.Device.Name}' went away while the lease was being made."),
            EndReason.Shutdown => new LeaseRefusedException(LeaseRefusal.ShuttingDown, "The broker is shutting down: connect again once it is back."),
            _ => new LeaseRefusedException(LeaseRefusal.ConnectionEnded, "The connection ended while the lease was being made."),
        };
    }

    private string DescribeConflict(LeaseRequest request, HeldRange held, LeaseHolder holder)
    {
        Lease other = held.Lease;
        string taken = $"{request.Ranges} of device '{request.Device.Name}' is taken, all or in part:";
        return other switch
        {
            { State: LeaseState.Quarantined } => $"{taken} the kernel could not confirm that an earlier lease has ended, and the range is held back until it does. An administrator finds the cause in the broker's log.",
            _ when other.Holder == holder => $"{taken} this connection holds {held.Range} as lease {other.Id}. Release that first.",
            { State: LeaseState.Noticed, Due: { } due } => string.Create(CultureInfo.InvariantCulture, $"{taken} another lease holds it, whose end was announced: it is over in {Math.Max(1, Math.Ceiling(_clock.Until(due).TotalSeconds))} s. Try again then."),
            { Request.Exclusive: false } when !request.Exclusive && other.Request.Options.MemoryType != request.Options.MemoryType =>
                $"{taken} another lease holds it with memory type {other.Request.Options.MemoryType}, this one would have {request.Options.MemoryType}, and the same memory can't be mapped with both. Try again once it is released.",
            { Request.Exclusive: false } when !request.Exclusive => $"{taken} another lease holds it, and this device can't share memory between leases. Try again once it is released.",
            _ => $"{taken} another lease holds it. Try again once it is released.",
        };
    }

    /// <summary>What the one who asked is to hear of a failure.</summary>
    private static Exception Translate(Exception exception) => exception switch
    {
        DeviceSuspendedException => new LeaseRefusedException(LeaseRefusal.DeviceSuspended, exception.Message, exception),
        MemoryTypeUnavailableException => new LeaseRefusedException(LeaseRefusal.MemoryTypeUnavailable, exception.Message, exception),
        DeviceStuckException => new LeaseRefusedException(LeaseRefusal.DeviceStuck, $"{exception.Message} Try again later.", exception),
        DeviceGoneException => new LeaseRefusedException(LeaseRefusal.DeviceGone, exception.Message, exception),
        LeaseQuotaException => new LeaseRefusedException(LeaseRefusal.TooManyLeases, exception.Message, exception),
        DescriptorBudgetException => new LeaseRefusedException(LeaseRefusal.TooManyDescriptors, exception.Message, exception),
        UnixException { Errno: Errno.NoMemory or Errno.TooManyFilesOfSystem or Errno.TooManyFiles } => new LeaseRefusedException(LeaseRefusal.KernelExhausted, "The kernel has no memory or no files left for another lease. Release some, or try again later.", exception),
        UnixException => exception,
        IOException => new LeaseRefusedException(LeaseRefusal.ConnectionEnded, "The connection ended while the lease was being made.", exception),
        _ => exception,
    };
}
