using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Transport.Pacing;

/// <summary>
/// How fast one user's connections are read. What the user's misuse costs is owed, and is paid off as time passes; who owes more than a burst is read
/// no faster than that. From a part of it on the user's connections take turns, so that however many there are, they don't take every thread of
/// the pool at once. Thread-safe.
/// </summary>
/// <param name="limit">How much is free.</param>
/// <param name="time">The clock.</param>
internal sealed class UserPace(PaceLimit limit, TimeProvider time)
{
    private readonly Lock _gate = new();

    /// <summary>In their order. Empty while nobody has the turn.</summary>
    private readonly LinkedList<Waiter> _waiting = [];
    private bool _isTurnTaken;
    private double _owed;
    private long _at = time.GetTimestamp();
    private int _calls;

    /// <summary>Nothing is owed.</summary>
    internal bool IsClear => Owed() <= 0;

    /// <summary>Under way.</summary>
    internal int Calls => Volatile.Read(ref _calls);

    /// <summary>The user is slowed down, and as many connections as may wait do.</summary>
    internal bool IsFull
    {
        get
        {
            lock (_gate)
            {
                return _waiting.Count >= PaceLimits.MostWaiting && Pay() > limit.BurstMicroseconds;
            }
        }
    }

    private bool NeedsTurns => Calls >= PaceLimits.TurnsFromCalls || Volatile.Read(ref _owed) >= limit.BurstMicroseconds / PaceLimits.TurnsFromPart;

    /// <summary>Something happened that has a price.</summary>
    internal void Charge(int microseconds)
    {
        if (microseconds > 0)
        {
            lock (_gate)
            {
                _owed = Math.Min(Pay() + microseconds, (double)limit.BurstMicroseconds + PaceLimits.MostOwed);
            }
        }
    }

    internal int BeginCall() => Interlocked.Increment(ref _calls);

    internal void EndCall() => Interlocked.Decrement(ref _calls);

    /// <summary>Returns when something may be read of one of the user's connections. At once, and with nothing to dispose of, while all is well.</summary>
    /// <param name="connection">Which one: a peer that has left meanwhile waits no longer, pays nothing, and is not to be read.</param>
    /// <param name="cancellationToken">The connection is over.</param>
    /// <returns>The turn, which lasts until it is disposed of.</returns>
    internal ValueTask<Turn> TakeTurnAsync(SafeHandle connection, CancellationToken cancellationToken)
        => NeedsTurns ? WaitAsync(connection, cancellationToken) : default;

    /// <summary>A turn is over.</summary>
    internal void PassOn()
    {
        lock (_gate)
        {
            // One that was cancelled is still in the list for a moment.
            while (_waiting.First is { Value: var next })
            {
                _waiting.RemoveFirst();
                if (next.TrySetResult(true))
                {
                    return;
                }
            }

            _isTurnTaken = false;
        }
    }

    private async ValueTask<Turn> WaitAsync(SafeHandle connection, CancellationToken cancellationToken)
    {
        bool isSlowed = TimeToPay() > TimeSpan.Zero;
        if (Queue(connection) is { } waiter)
        {
            using CancellationTokenRegistration over = cancellationToken.UnsafeRegister(static (waiter, token) => ((Waiter)waiter!).TrySetCanceled(token), waiter);
            if (!await waiter.Task)
            {
                return new Turn(pace: null, isSlowed, hasLeft: true);
            }
        }

        try
        {
            bool hasLeft;
            while (!(hasLeft = DescriptorSocket.HasPeerLeft(connection)) && TimeToPay() is var wait && wait > TimeSpan.Zero)
            {
                isSlowed = true;
                await Task.Delay(wait < PaceLimits.Look ? wait : PaceLimits.Look, time, cancellationToken);
                LetGo();
            }

            if (isSlowed && !hasLeft)
            {
                Charge(PaceLimits.Turn);
            }

            return new Turn(this, isSlowed, hasLeft);
        }
        catch
        {
            PassOn();
            throw;
        }
    }

    /// <summary>Takes the turn, or a place among those who wait for it.</summary>
    /// <returns>The place; null with the turn.</returns>
    private Waiter? Queue(SafeHandle connection)
    {
        lock (_gate)
        {
            if (!_isTurnTaken)
            {
                _isTurnTaken = true;
                return null;
            }

            return _waiting.AddLast(new Waiter(connection)).Value;
        }
    }

    /// <summary>Those who have left keep a place among the user's connections, and all connections, for nothing.</summary>
    private void LetGo()
    {
        lock (_gate)
        {
            for (LinkedListNode<Waiter>? node = _waiting.First; node is not null;)
            {
                (LinkedListNode<Waiter> current, node) = (node, node.Next);
                if (current.Value.Task.IsCompleted || current.Value.HasLeft)
                {
                    _waiting.Remove(current);
                    current.Value.TrySetResult(false);
                }
            }
        }
    }

    /// <summary>How long until no more than the burst is owed. A little more, so that a timer that is early does not have to go again.</summary>
    private TimeSpan TimeToPay()
    {
        double excess = Owed() - limit.BurstMicroseconds;
        return excess <= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(excess / limit.MicrosecondsPerSecond) + TimeSpan.FromMilliseconds(1);
    }

    private double Owed()
    {
        lock (_gate)
        {
            return Pay();
        }
    }

    /// <summary>Under the gate.</summary>
    private double Pay()
    {
        long now = time.GetTimestamp();
        _owed = Math.Max(0, _owed - (time.GetElapsedTime(_at, now).TotalSeconds * limit.MicrosecondsPerSecond));
        _at = now;
        return _owed;
    }

    /// <summary>A place in the queue: true with the turn, false for a peer that has left.</summary>
    private sealed class Waiter(SafeHandle connection) : TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        internal bool HasLeft
        {
            get
            {
                try
                {
                    return DescriptorSocket.HasPeerLeft(connection);
                }
                catch (ObjectDisposedException)
                {
                    // Closed on this side: it was cancelled, and is in the list for a moment still.
                    return true;
                }
            }
        }
    }
}
