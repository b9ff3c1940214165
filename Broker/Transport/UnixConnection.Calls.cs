using BarBroker.Transport.Pacing;

namespace BarBroker.Transport;

/// <content>The calls that are under way, and those that the peer drops by leaving.</content>
internal sealed partial class UnixConnection
{
    private int _calls;
    private volatile bool _hasLeft;

    bool IPeerConnection.TryBeginCall(out int limit)
    {
        limit = _peer.Account.CallLimit;
        if (!_peer.Account.TryBeginCall())
        {
            return false;
        }

        // One that is begun just now may be counted by both sides: better than by none.
        Interlocked.Increment(ref _calls);
        if (_hasLeft)
        {
            _peer.AddDroppedCalls(1);
        }

        return true;
    }

    void IPeerConnection.EndCall()
    {
        Interlocked.Decrement(ref _calls);
        _peer.Account.EndCall();
    }

    void IPeerConnection.ChargeRefusedCall() => _peer.Account.Pace.Charge(PaceLimits.RefusedCall);

    /// <summary>Nothing more comes from the peer. Counted now, not when the calls have ended: while they wait for that, the peer makes others.</summary>
    private void DropCalls()
    {
        _hasLeft = true;
        if (Volatile.Read(ref _calls) is > 0 and int dropped)
        {
            _peer.AddDroppedCalls(dropped);
        }
    }
}
