using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>What is asked of the lease table: decided by the policy, and checked against the device's geometry.</summary>
/// <param name="Device">One of the table's devices.</param>
/// <param name="Window">The window's name; null for ranges of the client's choice.</param>
/// <param name="Ranges">What to lease.</param>
/// <param name="Options">With which access, memory type and so on.</param>
/// <param name="Exclusive">No other lease may overlap it.</param>
/// <param name="Quota">What it counts against; null: nothing but the table's own limits.</param>
internal sealed record LeaseRequest(IBarDevice Device, string? Window, RangeList Ranges, ExportOptions Options, bool Exclusive, LeaseQuota? Quota = null);

/// <summary>
/// A lease as the table keeps it. What can change changes under the table's lock only, and the state only in
/// <see cref="MoveTo"/>.
/// </summary>
internal sealed class Lease(LeaseId id, LeaseRequest request, LeaseHolder holder, DateTimeOffset acquireTime)
{
    public LeaseId Id { get; } = id;

    public LeaseRequest Request { get; } = request;

    public LeaseHolder Holder { get; } = holder;

    public RangeList Ranges => Request.Ranges;

    public LeaseState State { get; private set; } = LeaseState.Reserved;

    /// <summary>The first reason that somebody had to end it; stays null as long as nobody has.</summary>
    public EndReason? Reason { get; private set; }

    /// <summary>Known once the lease was exported.</summary>
    public MemoryType? MemoryType { get; private set; }

    /// <summary>The holder has, or had, the lease: it is to hear of its end.</summary>
    public bool WasActive { get; private set; }

    /// <summary>The holder was told that it ended.</summary>
    public bool EndWasTold { get; set; }

    /// <summary>An earlier attempt to end it was not confirmed.</summary>
    public bool WasQuarantined { get; private set; }

    /// <summary>The attempt to end it, under way or the last one: true once the kernel confirmed, false when it could not.</summary>
    public TaskCompletionSource<bool>? EndAttempt { get; private set; }

    /// <summary>The export is done and its descriptor is on its way.</summary>
    public void Activate(MemoryType memoryType)
    {
        MoveTo(LeaseState.Active);
        MemoryType = memoryType;
        WasActive = true;
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
    }

    /// <summary>The lease as it is now.</summary>
    public LeaseInfo ToInfo() => new(
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
        acquireTime);

    private void MoveTo(LeaseState next)
    {
        bool allowed = (State, next) switch
        {
            (LeaseState.Reserved, LeaseState.Active or LeaseState.Ending or LeaseState.Ended) => true,
            (LeaseState.Active, LeaseState.Ending) => true,
            (LeaseState.Ending, LeaseState.Ended or LeaseState.Quarantined) => true,
            (LeaseState.Quarantined, LeaseState.Ending) => true,
            _ => false,
        };
        State = allowed ? next : throw new InvalidOperationException($"Lease {Id} can't go from {State} to {next}.");
    }
}
