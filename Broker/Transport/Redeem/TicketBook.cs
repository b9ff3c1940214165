using BarBroker.Transport.Counting;
using BarBroker.Unix;

namespace BarBroker.Transport.Redeem;

/// <summary>
/// The tickets of all users. One lock guards it and every ticket's stage; nothing that calls back runs under it. Who takes a ticket out of it
/// decides what becomes of the ticket: a connection that redeems it, the clock, or the end of its lease.
/// </summary>
internal sealed class TicketBook : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TicketSecret, TicketConnection> _issued = [];
    private readonly Dictionary<uint, int> _unredeemed = [];
    private readonly PastTickets _past = new();
    private readonly Strikes _wrong;
    private readonly DescriptorBudget _budget;
    private readonly ConnectionNumbers _numbers;
    private readonly TicketLog _log;
    private readonly WireCounters _counters;
    private readonly TimeProvider _time;

    /// <param name="budget">Of all connections: a ticket's descriptor has a place in it.</param>
    /// <param name="numbers">Of all connections: a ticket has one.</param>
    /// <param name="log">What becomes of them.</param>
    /// <param name="counters">Learn of those that are refused.</param>
    /// <param name="time">The clock of expiry, and of the minute for those who guess.</param>
    internal TicketBook(DescriptorBudget budget, ConnectionNumbers numbers, TicketLog log, WireCounters counters, TimeProvider time)
    {
        _wrong = new Strikes(time, TicketLimits.WrongPerWindow, TicketLimits.GuessingWindow);
        _budget = budget;
        _numbers = numbers;
        _log = log;
        _counters = counters;
        _time = time;
    }

    /// <summary>Makes a ticket for a lease that is to be made. Whoever gets it ends it if there will be no lease.</summary>
    /// <param name="acquirer">Whose user may redeem it.</param>
    /// <param name="process">The acquirer's, with which the ticket ends until it is redeemed. Is taken over, also when this throws.</param>
    /// <exception cref="TicketLimitException">The user has too many.</exception>
    internal TicketConnection Issue(IPeerConnection acquirer, ProcessExitWatch? process)
    {
        uint uid = acquirer.Credentials.Uid;
        lock (_gate)
        {
            int count = _unredeemed.GetValueOrDefault(uid);
            if (count >= TicketLimits.UnredeemedPerUser)
            {
                process?.Dispose();
                _counters.TicketsRefused.Add(RefusedTicket.TooManyUnredeemed);
                throw new TicketLimitException(
                    $"The processes of uid {uid} have {TicketLimits.UnredeemedPerUser} tickets that are not redeemed, as many as one user may have. Redeem them, or wait: each expires after {TicketLimits.ValidFor.TotalSeconds} s.");
            }

            _unredeemed[uid] = count + 1;
        }

        return new TicketConnection(_numbers.Next(), acquirer, process, this, acquirer.Descriptors ?? new DescriptorShare(_budget));
    }

    /// <summary>From now on it can be redeemed, for <see cref="TicketLimits.ValidFor"/>. Once for each ticket.</summary>
    internal TicketSecret Open(TicketConnection ticket)
    {
        TicketSecret secret = TicketSecret.Create();
        lock (_gate)
        {
            if (ticket.Stage is TicketStage.Over)
            {
                _past.Add(secret, ticket.Credentials.Uid, TicketFate.LeaseOver);
                return secret;
            }

            ticket.MoveTo(TicketStage.Issued);
            ticket.Secret = secret;
            _issued.Add(secret, ticket);
            ticket.Expiry = _time.CreateTimer(static state => ((TicketConnection)state!).OnExpired(), ticket, TicketLimits.ValidFor, Timeout.InfiniteTimeSpan);
        }

        _log.Issued(ticket.Id, ticket.Credentials.Uid, ticket.Credentials.Pid, ticket.AcquirerId);
        return secret;
    }

    /// <summary>The user has sent too many wrong ones: what comes next is not to be read.</summary>
    internal bool IsBlocked(uint uid) => _wrong.IsBlocked(uid);

    /// <summary>Gives a ticket to the connection that came with it.</summary>
    /// <param name="secret">What it came with.</param>
    /// <param name="peer">Who came.</param>
    /// <param name="ticket">Is the caller's to serve, and to end, when the answer is <see cref="RedeemAnswer.Granted"/>.</param>
    internal RedeemAnswer Redeem(TicketSecret secret, AcceptedPeer peer, out TicketConnection? ticket)
    {
        uint uid = peer.Credentials.Uid;
        TicketFate fate;
        bool isBlockedNow;
        lock (_gate)
        {
            if (_wrong.IsBlocked(uid))
            {
                // Read at the same time as those for which it was.
                ticket = null;
                _counters.TicketsRefused.Add(RefusedTicket.Blocked);
                return RedeemAnswer.Refused;
            }

            if (_issued.TryGetValue(secret, out ticket) && ticket.Credentials.Uid == uid)
            {
                ticket.MoveTo(TicketStage.Redeemed);
                Leave(ticket, TicketFate.Used);
                return RedeemAnswer.Granted;
            }

            fate = ticket is null ? _past.Find(secret, uid) : TicketFate.OfAnotherUser;
            ticket = null;
            _counters.TicketsRefused.Add(Refusal(fate));
            if (fate == TicketFate.LeaseOver)
            {
                return RedeemAnswer.LeaseOver;
            }

            // One's own that came too late is no guess.
            isBlockedNow = fate != TicketFate.Expired && _wrong.Add(uid);
        }

        _log.Refused(uid, peer.Credentials.Pid, peer.Id, fate);
        if (isBlockedNow)
        {
            _log.Blocked(uid, peer.Credentials.Pid, TicketLimits.WrongPerWindow, TicketLimits.GuessingWindow);
        }

        return RedeemAnswer.Refused;
    }

    /// <summary>Ends a ticket, and by that its lease. Only the first call counts.</summary>
    internal void End(TicketConnection ticket, TicketFate fate)
    {
        lock (_gate)
        {
            if (ticket.Stage is TicketStage.Over)
            {
                return;
            }

            if (ticket.Stage is not TicketStage.Redeemed)
            {
                Leave(ticket, fate);
            }

            ticket.MoveTo(TicketStage.Over);
        }

        if (fate is TicketFate.Expired)
        {
            _log.Expired(ticket.Id, ticket.Credentials.Uid, ticket.Credentials.Pid, TicketLimits.ValidFor);
        }

        ticket.Dispose();
    }

    /// <summary>Ends all that nobody has redeemed.</summary>
    public void Dispose()
    {
        TicketConnection[] left;
        lock (_gate)
        {
            left = [.. _issued.Values];
        }

        foreach (TicketConnection ticket in left)
        {
            End(ticket, TicketFate.LeaseOver);
        }
    }

    private static RefusedTicket Refusal(TicketFate fate) => fate switch
    {
        TicketFate.OfAnotherUser => RefusedTicket.OfAnotherUser,
        TicketFate.Used => RefusedTicket.Used,
        TicketFate.Expired => RefusedTicket.Expired,
        TicketFate.LeaseOver => RefusedTicket.LeaseOver,
        _ => RefusedTicket.Unknown,
    };

    /// <summary>It is no longer one that waits to be redeemed. Under the lock.</summary>
    private void Leave(TicketConnection ticket, TicketFate fate)
    {
        uint uid = ticket.Credentials.Uid;
        if (--_unredeemed[uid] == 0)
        {
            _unredeemed.Remove(uid);
        }

        ticket.Expiry?.Dispose();
        if (ticket.Secret is { } secret)
        {
            _issued.Remove(secret);
            _past.Add(secret, uid, fate);
        }
    }
}
