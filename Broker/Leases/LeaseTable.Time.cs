using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Transport;

namespace BarBroker.Leases;

// Ends that come with time: of leases that nobody renewed, and of those whose holders were given notice.
internal sealed partial class LeaseTable
{
    /// <summary>Gives a lease of this connection, or one that it acquired for a ticket, its time anew.</summary>
    /// <returns>Null when the connection has no such lease.</returns>
    /// <exception cref="LeaseRefusedException">It can't be renewed.</exception>
    public LeaseInfo? Renew(IPeerConnection connection, LeaseId id, TimeSpan? asked)
    {
        lock (_lock)
        {
            if (!_leases.TryGetValue(id, out Lease? lease) || lease.Holder.Connection.AcquirerId != connection.Id || !lease.WasActive)
            {
                return null;
            }

            if (lease.State is not LeaseState.Active)
            {
                throw new LeaseRefusedException(LeaseRefusal.Ending, $"Lease {id} can't be renewed: {(lease.State is LeaseState.Noticed ? "its end was announced" : "it is ending")}. Release it, and acquire another.");
            }

            LeaseTerms terms = lease.Request.Terms;
            if (lease.Due is null || terms.Renewed(asked) is not { } time)
            {
                return ToInfo(lease);
            }

            if (lease.Renewals >= terms.MaxRenewals)
            {
                throw new LeaseRefusedException(LeaseRefusal.TooManyRenewals, $"Lease {id} was renewed {lease.Renewals} times, as often as its grant allows. Release it, and acquire another.");
            }

            lease.Renew(_clock.After(time));
            _clock.Set(lease);
            LeaseLog.Renewed(_logger, id, time);
            return ToInfo(lease);
        }
    }

    /// <summary>Ends a lease by force, after <paramref name="grace"/>.</summary>
    /// <inheritdoc cref="RevokeAsync(Func{Lease, bool}, TimeSpan)"/>
    /// <returns>Null when there is no such lease.</returns>
    public async Task<EndResult?> RevokeAsync(LeaseId id, TimeSpan grace)
    {
        AnnouncedBatch batch;
        lock (_lock)
        {
            if (!_leases.TryGetValue(id, out Lease? lease))
            {
                return null;
            }

            batch = BeginRevoke([lease], grace);
        }

        return await FinishRevokeAsync(batch);
    }

    /// <summary>
    /// Tells the holders that their leases end after <paramref name="grace"/>, and ends by force those that are left then; returns when all are over. Leases that
    /// their holders don't have yet end at once.
    /// </summary>
    public async Task<EndResult> RevokeAsync(Func<Lease, bool> filter, TimeSpan grace)
    {
        AnnouncedBatch batch;
        lock (_lock)
        {
            batch = BeginRevoke(_leases.Values.Where(filter), grace);
        }

        return await FinishRevokeAsync(batch);
    }

    /// <summary>Under the lock.</summary>
    private AnnouncedBatch BeginRevoke(IEnumerable<Lease> leases, TimeSpan grace)
    {
        ILookup<bool, Lease> byNotice = leases.ToLookup(lease => lease.State is LeaseState.Active or LeaseState.Noticed);
        return new AnnouncedBatch(
            BeginEnd(byNotice[false], EndReason.Revoked),
            [.. byNotice[true].Select(lease => (lease.Id, Announce(lease, EndReason.Revoked, grace)))]);
    }

    private async Task<EndResult> FinishRevokeAsync(AnnouncedBatch batch)
    {
        EndResult atOnce = await FinishEndAsync(batch.AtOnce);
        await Task.WhenAll(batch.Announced.Select(entry => entry.End));
        ILookup<bool, LeaseId> ends = batch.Announced.ToLookup(entry => entry.End.Result, entry => entry.Id);
        return new EndResult([.. atOnce.Ended, .. ends[true]], [.. atOnce.Unconfirmed, .. ends[false]]);
    }

    /// <summary>Under the lock, of one that its holder has.</summary>
    private Task<bool> Announce(Lease lease, EndReason reason, TimeSpan grace)
    {
        long due = _clock.After(grace);
        bool isNews = lease.State is LeaseState.Active || due < lease.Due;
        (due, Task<bool> end) = lease.Announce(reason, due);
        if (isNews)
        {
            _clock.Set(lease);
            lease.Holder.Feed?.Publish(new LeaseEndingEvent(lease.Id, reason, _clock.ToWallClock(due)));
            LeaseLog.Announced(_logger, lease.Id, lease.Ranges, lease.Request.Device.Name, _clock.Until(due), reason);
        }

        return end;
    }

    /// <summary>The clock's call.</summary>
    private void OnDue()
    {
        EndBatch batch;
        lock (_lock)
        {
            // One that was given notice has its reason.
            batch = BeginEnd(_clock.TakeDue().Where(lease => lease.State is LeaseState.Active or LeaseState.Noticed), EndReason.Expired);
        }

        FinishInBackground(batch);
    }

    /// <param name="AtOnce">Leases that their holders don't have.</param>
    /// <param name="Announced">The others, and what their ends come to.</param>
    private sealed record AnnouncedBatch(EndBatch AtOnce, ImmutableArray<(LeaseId Id, Task<bool> End)> Announced);
}
