namespace BarBroker.Transport;

/// <summary>Counts the connections of one endpoint, in all and by user, so that one user can't lock the others out.</summary>
internal sealed class ConnectionSlots(int limit, int limitPerUser)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, int> _users = [];
    private int _total;

    /// <summary>Why a connection may not be taken.</summary>
    internal enum Answer
    {
        /// <summary>It may: call <see cref="Release"/> at its end.</summary>
        Taken,

        /// <summary>All are in use.</summary>
        Full,

        /// <summary>This user's are.</summary>
        UserFull,
    }

    internal Answer TryTake(uint uid)
    {
        lock (_gate)
        {
            if (_total >= limit)
            {
                return Answer.Full;
            }

            int user = _users.GetValueOrDefault(uid);
            if (user >= limitPerUser)
            {
                return Answer.UserFull;
            }

            _users[uid] = user + 1;
            _total++;
            return Answer.Taken;
        }
    }

    internal void Release(uint uid)
    {
        lock (_gate)
        {
            _total--;
            int left = _users[uid] - 1;
            if (left == 0)
            {
                _users.Remove(uid);
            }
            else
            {
                _users[uid] = left;
            }
        }
    }
}
