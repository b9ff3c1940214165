using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Transport;

namespace BarBroker.Leases;

/// <summary>What came of ending leases.</summary>
/// <param name="Ended">Those that this call ended: nobody reaches their ranges any more.</param>
/// <param name="Unconfirmed">Those that were to end, by this call or another, and for which the kernel could not confirm it.</param>
internal sealed record EndResult(ImmutableArray<LeaseId> Ended, ImmutableArray<LeaseId> Unconfirmed);

internal sealed partial class LeaseTable
{
    /// <summary>How long the end of a lease that is still being made is waited for: no longer than a device waits for the kernel's word on those that are.</summary>
    internal static readonly TimeSpan BeingMadeLimit = TimeSpan.FromSeconds(15);

    /// <summary>Ends a lease of this connection, or one that it acquired for a ticket. Joins an end that is under way; tries a quarantined one again.</summary>
    /// <returns>Null when the connection has no such lease.</returns>
    public Task<EndResult?> ReleaseAsync(IPeerConnection connection, LeaseId id)
        => EndOneAsync(id, lease => lease.Holder.Connection.AcquirerId == connection.Id && lease.WasActive, EndReason.Released);

    /// <summary>Ends one lease by force.</summary>
    /// <returns>Null when there is no such lease.</returns>
    public Task<EndResult?> RevokeAsync(LeaseId id) => EndOneAsync(id, _ => true, EndReason.Revoked);

    /// <summary>Ends leases by force: one step per device.</summary>
    public async Task<EndResult> RevokeAsync(Func<Lease, bool> filter)
    {
        EndBatch batch;
        lock (_lock)
        {
            batch = BeginEnd(_leases.Values.Where(filter), EndReason.Revoked);
        }

        return await FinishEndAsync(batch);
    }

    /// <summary>Refuses new leases, ends all there are, and then all watches.</summary>
    /// <returns>What came of the leases, and a task that completes once every watcher has heard it all and left.</returns>
    public async Task<(EndResult Leases, Task WatchersLeft)> ShutdownAsync()
    {
        EndBatch batch;
        lock (_lock)
        {
            _shuttingDown = true;
            batch = BeginEnd(_leases.Values, EndReason.Shutdown);
        }

        EndResult result = await FinishEndAsync(batch);
        lock (_lock)
        {
            LeaseFeed[] feeds = [.. _holders.Values.Select(holder => holder.Feed).OfType<LeaseFeed>()];
            foreach (LeaseFeed feed in feeds)
            {
                feed.Complete();
            }

            return (result, Task.WhenAll(feeds.Select(feed => feed.Left)));
        }
    }

    private async Task<EndResult?> EndOneAsync(LeaseId id, Func<Lease, bool> isMeant, EndReason reason)
    {
        EndBatch batch;
        lock (_lock)
        {
            if (!_leases.TryGetValue(id, out Lease? lease) || !isMeant(lease))
            {
                return null;
            }

            batch = BeginEnd([lease], reason);
        }

        return await FinishEndAsync(batch);
    }

    /// <summary>
    /// The beginning of every end, under the lock. A lease that is being made is only marked: the one who makes it sees the mark and
    /// revokes it, since revoking what the kernel does not know yet would be lost.
    /// </summary>
    private static EndBatch BeginEnd(IEnumerable<Lease> leases, EndReason reason)
    {
        ImmutableArray<Lease>.Builder toRevoke = ImmutableArray.CreateBuilder<Lease>();
        ImmutableArray<(Lease, Task<bool>, bool)>.Builder all = ImmutableArray.CreateBuilder<(Lease, Task<bool>, bool)>();
        foreach (Lease lease in leases)
        {
            bool isOurs = lease.State is not LeaseState.Ending;
            bool isBeingMade = lease.State is LeaseState.Reserved;
            if (isOurs)
            {
                lease.BeginEnd(reason);
            }

            if (isOurs && !isBeingMade)
            {
                toRevoke.Add(lease);
            }

            all.Add((lease, lease.EndAttempt!.Task, isOurs));
        }

        return new EndBatch(toRevoke.DrainToImmutable(), all.DrainToImmutable());
    }

    /// <summary>Revokes what is this batch's to revoke, and waits for the rest.</summary>
    private async Task<EndResult> FinishEndAsync(EndBatch batch)
    {
        Task undelivered = WaitForUndeliveredAsync(batch);
        await RevokeAsync(batch.ToRevoke);
        await Task.WhenAll(batch.All.Where(entry => entry.Lease.WasActive).Select(entry => entry.Attempt));
        await undelivered;

        // Looked at once: those that are waited for no longer may end at any time.
        (LeaseId Id, bool IsOurs, bool IsConfirmed)[] ends =
            [.. batch.All.Select(entry => (entry.Lease.Id, entry.IsOurs, entry.Attempt is { IsCompletedSuccessfully: true, Result: true }))];
        return new EndResult(
            [.. ends.Where(end => end.IsOurs && end.IsConfirmed).Select(end => end.Id)],
            [.. ends.Where(end => !end.IsConfirmed).Select(end => end.Id)]);
    }

    /// <summary>
    /// Their holders never got them, and those who make them end them: when an export hangs, not within any time. They are marked, so nobody
    /// will get them later either.
    /// </summary>
    private async Task WaitForUndeliveredAsync(EndBatch batch)
    {
        try
        {
            await Task.WhenAll(batch.All.Where(entry => !entry.Lease.WasActive).Select(entry => entry.Attempt)).WaitAsync(BeingMadeLimit, _time);
        }
        catch (TimeoutException)
        {
            // The result tells which are left.
        }
    }

    private Task RevokeAsync(IEnumerable<Lease> leases)
        => Task.WhenAll(leases.GroupBy(lease => lease.Request.Device).Select(group => RevokeAsync(group.Key, [.. group])));

    /// <summary>One call to the device, whatever becomes of it: no client pays for another's lease whose end is not confirmed.</summary>
    private async Task RevokeAsync(IBarDevice device, ImmutableArray<Lease> leases)
    {
        ImmutableArray<LeaseId> ids = [.. leases.Select(lease => lease.Id)];
        HashSet<LeaseId> unconfirmed = [];
        try
        {
            await device.RevokeAsync(ids);
        }
#pragma warning disable CA1031 // Whatever it was, it is no confirmation.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            unconfirmed.UnionWith(exception is RevocationUnconfirmedException some ? some.Unconfirmed : ids);
            LeaseLog.RevokeFailed(_logger, device.Name, unconfirmed.Count, exception);
        }

        foreach (IGrouping<bool, Lease> group in leases.GroupBy(lease => !unconfirmed.Contains(lease.Id)))
        {
            Settle([.. group], confirmed: group.Key);
        }
    }

    /// <summary>The end of every end: frees the ranges that the device let go of, and tells the watcher.</summary>
    private void Settle(ImmutableArray<Lease> leases, bool confirmed)
    {
        lock (_lock)
        {
            // The device may have been closed since the attempt failed, and SettleClosed has passed these by while they were ending.
            confirmed |= leases.All(lease => lease.Request.Device is IControlledDevice { GivenBack.IsCompletedSuccessfully: true });
            foreach (Lease lease in leases)
            {
                if (confirmed)
                {
                    Forget(lease);
                }

                if (lease.WasActive && !lease.EndWasTold)
                {
                    lease.EndWasTold = true;
                    lease.Holder.Feed?.Publish(new LeaseEndedEvent(lease.Id, lease.Reason!.Value, confirmed));
                }

                lease.FinishEnd(confirmed);
            }
        }

        TellQuarantines(leases, confirmed);
        foreach (Lease lease in leases)
        {
            string device = lease.Request.Device.Name;
            if (confirmed)
            {
                LeaseLog.Ended(_logger, lease.Id, lease.Ranges, device, lease.Reason!.Value);
            }
            else
            {
                LeaseLog.Quarantined(_logger, lease.Id, lease.Ranges, device, lease.Holder.Connection.Credentials.Uid, lease.Holder.Connection.Credentials.Pid, lease.Reason!.Value);
            }
        }
    }

    /// <summary>The kernel never had the lease: the range is free at once, whoever wanted its end meanwhile.</summary>
    private void Withdraw(Lease lease)
    {
        lock (_lock)
        {
            Forget(lease);
            lease.Withdraw();
        }
    }

    /// <summary>The kernel has the lease and its holder never will.</summary>
    private async Task EndUndeliveredAsync(Lease lease)
    {
        lock (_lock)
        {
            // Others that wanted its end have marked it, and wait for us.
            if (lease.State is LeaseState.Reserved)
            {
                lease.BeginEnd(EndReason.Released);
            }
        }

        await RevokeAsync([lease]);
    }

    private void Forget(Lease lease)
    {
        if (CurrentOf(lease.Request.Device) is { } device)
        {
            device.Remove(lease);
        }

        _clock.Remove(lease);
        _leases.Remove(lease.Id);
        lease.Holder.Leases.Remove(lease);
        uint uid = lease.Holder.Connection.Credentials.Uid;
        if (--_leasesOfUser[uid] == 0)
        {
            _leasesOfUser.Remove(uid);
        }

        _quotas.Remove(lease.Request, uid);
    }

    private void OnConnectionOver(LeaseHolder holder, EndReason reason)
    {
        EndBatch batch;
        lock (_lock)
        {
            if (holder.IsOver)
            {
                return;
            }

            holder.IsOver = true;
            holder.Feed?.Complete();
            _holders.Remove(holder.Connection.Id);
            batch = BeginEnd(holder.Leases, reason);
        }

        holder.Unregister();
        FinishInBackground(batch);
    }

    /// <summary>
    /// For callbacks, whose thread is somebody else's. Does not fail: what the device throws becomes a quarantine. At shutdown, which joins
    /// every end under way, nothing is left behind.
    /// </summary>
    private void FinishInBackground(EndBatch batch)
    {
        if (!batch.ToRevoke.IsEmpty)
        {
            _ = Task.Run(() => RevokeAsync(batch.ToRevoke));
        }
    }

    /// <param name="ToRevoke">Leases for this batch's owner to revoke.</param>
    /// <param name="All">Every lease that was meant, the attempt that ends it, and whether this batch began that.</param>
    private sealed record EndBatch(ImmutableArray<Lease> ToRevoke, ImmutableArray<(Lease Lease, Task<bool> Attempt, bool IsOurs)> All);
}
