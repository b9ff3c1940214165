using BarBroker.Transport.Pacing;

namespace BarBroker.Transport;

/// <summary>How much one endpoint takes, in all and of one user.</summary>
/// <param name="Connections">At a time, in all.</param>
/// <param name="ConnectionsPerUser">At a time.</param>
/// <param name="SilentPerUser">Connections at a time that have not said yet what they came for.</param>
/// <param name="CallsPerUser">Under way at a time, on all connections.</param>
internal sealed record UserLimits(int Connections, int ConnectionsPerUser, int SilentPerUser, int CallsPerUser)
{
    /// <summary>What misuse may cost, of one user.</summary>
    internal PaceLimit Pace { get; init; } = PaceLimits.OfUser;
}

/// <summary>What the users of one endpoint have open there, so that one can't take the others' share.</summary>
/// <param name="limits">Of the endpoint.</param>
/// <param name="budget">Of all descriptors.</param>
/// <param name="time">The clock of what is remembered.</param>
/// <param name="machine">The clock by which users are slowed down: it is the machine that is to be spared.</param>
internal sealed class UserAccounts(UserLimits limits, DescriptorBudget budget, TimeProvider time, TimeProvider machine)
{
    private readonly Strikes _offences = new(time, TransportLimits.OffencesPerWindow, TransportLimits.OffenceWindow);
    private readonly Strikes _arrivals = new(time, TransportLimits.ArrivalsPerWindow, TransportLimits.ArrivalWindow);
    private readonly Strikes _droppedCalls = new(time, TransportLimits.DroppedCallsPerWindow, TransportLimits.DroppedCallWindow);
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, UserAccount> _users = [];
    private int _connections;

    /// <summary>Whether a connection may be taken.</summary>
    internal enum Answer
    {
        /// <summary>It may: call <see cref="Close"/> at its end.</summary>
        Taken,

        /// <summary>All are in use.</summary>
        Full,

        /// <summary>This user's are.</summary>
        UserFull,

        /// <summary>Too many of this user's have not spoken.</summary>
        UserSilent,

        /// <summary>Too many of this user's were ended for what they sent.</summary>
        UserBlocked,

        /// <summary>Too many of this user's were taken a moment ago.</summary>
        UserTooOften,

        /// <summary>This user is slowed down, and too many connections wait for that.</summary>
        UserSlowed,

        /// <summary>Too many of this user's calls were under way when their connections ended.</summary>
        UserDroppedCalls,
    }

    /// <summary>Connections at the moment.</summary>
    internal int Connections => Volatile.Read(ref _connections);

    /// <summary>Calls under way.</summary>
    internal long Calls => Sum(static user => user.Calls);

    /// <summary>Descriptors under way.</summary>
    internal long Descriptors => Sum(static user => user.Descriptors.Used);

    internal UserLimits Limits => limits;

    /// <summary>Takes a connection, which is silent at first.</summary>
    /// <param name="uid">Whose it is.</param>
    /// <param name="account">That user's, when it was taken.</param>
    internal Answer TryOpen(uint uid, out UserAccount? account)
    {
        lock (_gate)
        {
            account = null;
            if (_connections >= limits.Connections)
            {
                return Answer.Full;
            }

            if (_offences.IsBlocked(uid))
            {
                return Answer.UserBlocked;
            }

            if (_arrivals.IsBlocked(uid))
            {
                return Answer.UserTooOften;
            }

            if (_droppedCalls.IsBlocked(uid))
            {
                return Answer.UserDroppedCalls;
            }

            UserAccount user = FindOrAdd(uid);
            if (user.Connections >= limits.ConnectionsPerUser)
            {
                return Answer.UserFull;
            }

            if (user.Silent >= limits.SilentPerUser)
            {
                return Answer.UserSilent;
            }

            if (user.Pace.IsFull)
            {
                return Answer.UserSlowed;
            }

            user.Connections++;
            user.Silent++;
            _connections++;
            _arrivals.Add(uid);
            user.Pace.Charge(PaceLimits.Arrival);
            account = user;
            return Answer.Taken;
        }
    }

    /// <summary>A connection has said what it came for, or is about to end without. Once for each.</summary>
    internal void EndSilence(UserAccount account)
    {
        lock (_gate)
        {
            account.Silent--;
        }
    }

    /// <summary>A connection of that user is ended for what it sent.</summary>
    /// <returns>True when no other is taken for a while.</returns>
    internal bool AddOffence(UserAccount account)
    {
        account.Pace.Charge(PaceLimits.Offence);
        return _offences.Add(account.Uid);
    }

    /// <summary>So many calls of that user were under way when their connection ended.</summary>
    internal void AddDroppedCalls(UserAccount account, int count)
    {
        account.Pace.Charge(count * PaceLimits.DroppedCall);
        _droppedCalls.Add(account.Uid, count);
    }

    /// <summary>A connection has ended.</summary>
    internal void Close(UserAccount account)
    {
        lock (_gate)
        {
            _connections--;
            account.Connections--;
            if (account.IsEmpty)
            {
                _users.Remove(account.Uid);
            }
        }
    }

    private UserAccount FindOrAdd(uint uid)
    {
        if (!_users.TryGetValue(uid, out UserAccount? user))
        {
            // Those whose calls or tickets, or what they owe, outlived their last connection: seldom enough to look at all.
            foreach (UserAccount empty in _users.Values.Where(static other => other.IsEmpty).ToArray())
            {
                _users.Remove(empty.Uid);
            }

            user = new UserAccount(uid, limits.CallsPerUser, new DescriptorShare(budget), new UserPace(limits.Pace, machine));
            _users.Add(uid, user);
        }

        return user;
    }

    private long Sum(Func<UserAccount, long> number)
    {
        lock (_gate)
        {
            return _users.Values.Sum(number);
        }
    }
}

/// <summary>What one user has open on one endpoint.</summary>
internal sealed class UserAccount(uint uid, int callLimit, DescriptorShare descriptors, UserPace pace)
{
    internal uint Uid => uid;

    /// <summary>Under the lock of <see cref="UserAccounts"/>.</summary>
    internal int Connections { get; set; }

    /// <inheritdoc cref="Connections"/>
    internal int Silent { get; set; }

    /// <summary>Under way.</summary>
    internal int Calls => pace.Calls;

    internal int CallLimit => callLimit;

    internal DescriptorShare Descriptors => descriptors;

    /// <summary>How fast it is read.</summary>
    internal UserPace Pace => pace;

    /// <summary>Nothing is left that anybody could miss.</summary>
    internal bool IsEmpty => Connections == 0 && Calls == 0 && descriptors.Used == 0 && pace.IsClear;

    /// <summary>Takes a call; when that worked, call <see cref="EndCall"/> at its end.</summary>
    internal bool TryBeginCall()
    {
        if (pace.BeginCall() <= callLimit)
        {
            return true;
        }

        EndCall();
        return false;
    }

    internal void EndCall() => pace.EndCall();
}
