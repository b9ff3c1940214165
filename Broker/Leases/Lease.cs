using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>What is asked of the lease table: decided by the policy, and checked against the device's geometry.</summary>
/// <param name="Device">One of the table's devices.</param>
/// <param name="Window">The window's name; null for ranges of the client's choice.</param>
/// <param name="Ranges">What to lease.</param>
/// <param name="Options">With which access, memory type and so on.</param>
/// <param name="Exclusive">No other lease may overlap it.</param>
/// <param name="Quota">What it counts against; null: nothing but the table's own limits.</param>
internal sealed record LeaseRequest(IBarDevice Device, string? Window, RangeList Ranges, ExportOptions Options, bool Exclusive, LeaseQuota? Quota = null)
{
    /// <summary>For how long.</summary>
    public LeaseTerms Terms { get; init; } = LeaseTerms.Unlimited;
}

/// <summary>
/// A lease as the table keeps it. What can change changes under the table's lock only, and the state only in
/// <see cref="MoveTo"/>.
/// </summary>
internal sealed class Lease(LeaseId id, LeaseRequest request, LeaseHolder holder, DateTimeOffset acquireTime)
{
    /// <summary>Of a lease whose end was announced: what its first attempt to end comes to.</summary>
    private TaskCompletionSource<bool>? _announcedEnd;

    public LeaseId Id { get; } = id;

    public LeaseRequest Request { get; } = request;

    public LeaseHolder Holder { get; } = holder;

    public RangeList Ranges => Request.Ranges;

    public LeaseState State { get; private set; } = LeaseState.Reserved;

    /// <summary>The first reason that somebody had to end it; stays null as long as nobody has.</summary>
    public EndReason? Reason { get; private set; }

    /// <summary>Known once the lease was exported.</summary>
    public MemoryType? MemoryType { get; private set; }

    /// <summary>When it ends by itself, by the table's clock; null: never.</summary>
    public long? Due { get; private set; }

    public int Renewals { get; private set; }

    /// <summary>The holder has, or had, the lease: it is to hear of its end.</summary>
    public bool WasActive { get; private set; }

    /// <summary>The holder was told that it ended.</summary>
    public bool EndWasTold { get; set; }

    /// <summary>An earlier attempt to end it was not confirmed.</summary>
    public bool WasQuarantined { get; private set; }

    /// <summary>The attempt to end it, under way or the last one: true once the kernel confirmed, false when it could not.</summary>
    public TaskCompletionSource<bool>? EndAttempt { get; private set; }

    /// <summary>The export is done and its descriptor is on its way.</summary>
    /// <param name="memoryType">As the kernel says.</param>
    /// <param name="due">When its time is over.</param>
    public void Activate(MemoryType memoryType, long? due)
    {
        MoveTo(LeaseState.Active);
        MemoryType = memoryType;
        Due = due;
        WasActive = true;
    }

    /// <summary>Its time begins anew.</summary>
    public void Renew(long due)
    {
        if (State is not LeaseState.Active)
        {
            throw new InvalidOperationException($"Lease {Id} can't be renewed: it is {State}.");
        }

        Due = due;
        Renewals++;
    }

    /// <summary>Its end is announced, or announced again; an earlier end stands.</summary>
    /// <returns>When it is due, and what its first attempt to end comes to.</returns>
    public (long Due, Task<bool> End) Announce(EndReason reason, long due)
    {
        if (_announcedEnd is null)
        {
            MoveTo(LeaseState.Noticed);
            Reason = reason;
            _announcedEnd = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        due = Due < due ? Due.Value : due;
        Due = due;
        return (due, _announcedEnd.Task);
    }

    /// <summary>Begins an attempt to end it. The first reason stands.</summary>
    public void BeginEnd(EndReason reason)
    {
        WasQuarantined |= State is LeaseState.Quarantined;
        MoveTo(LeaseState.Ending);
        Reason ??= reason;
        EndAttempt = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>The export failed: there never was a lease.</summary>
    public void Withdraw()
    {
        MoveTo(LeaseState.Ended);
        EndAttempt?.SetResult(true);
    }

    /// <summary>The attempt to end it is over.</summary>
    public void FinishEnd(bool confirmed)
    {
        MoveTo(confirmed ? LeaseState.Ended : LeaseState.Quarantined);
        EndAttempt!.SetResult(confirmed);
        _announcedEnd?.TrySetResult(confirmed);
    }

    /// <summary>The lease as it is now.</summary>
    /// <param name="expireTime">What <see cref="Due"/> is by the wall clock.</param>
    public LeaseInfo ToInfo(DateTimeOffset? expireTime) => new(
        Id,
        Request.Device.Name,
        Request.Window,
        Ranges,
        Request.Options.Access,
        Request.Options.P2P,
        Request.Exclusive,
        MemoryType,
        State,
        Holder.Connection.Credentials,
        Holder.Connection.Id,
        acquireTime,
        expireTime,
        State is LeaseState.Noticed ? Reason : null);

    private void MoveTo(LeaseState next)
    {
        bool allowed = (State, next) switch
        {
            (LeaseState.Reserved, LeaseState.Active or LeaseState.Ending or LeaseState.Ended) => true,
            (LeaseState.Active, LeaseState.Noticed or LeaseState.Ending) => true,
            (LeaseState.Noticed, LeaseState.Ending) => true,
            (LeaseState.Ending, LeaseState.Ended or LeaseState.Quarantined) => true,
            (LeaseState.Quarantined, LeaseState.Ending) => true,
            _ => false,
        };
        State = allowed ? next : throw new InvalidOperationException($"Lease {Id} can't go from {State} to {next}.");
    }
}
