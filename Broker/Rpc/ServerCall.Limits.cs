using BarBroker.Grpc;
using BarBroker.Transport.Counting;

namespace BarBroker.Rpc;

/// <content>What is refused because it is too much.</content>
internal sealed partial class ServerCall
{
    /// <summary>It counts among those that its user has under way, until <see cref="EndCounted"/>.</summary>
    private bool _isCounted;

    /// <summary>Throws nothing: a flood of refusals must cost little.</summary>
    private bool TryBeginCounted(ref Status status)
    {
        _isCounted = _connection.TryBeginCall(out int limit);
        if (!_isCounted)
        {
            _server.Counters.CallsRefused.Add(RefusedCall.UserFull);
            _connection.ChargeRefusedCall();
            status = new Status(
                StatusCode.ResourceExhausted,
                $"The processes of uid {_connection.Credentials.Uid} have {limit} calls under way, as many as one user may have here. Wait until some have ended.");
        }

        return _isCounted;
    }

    private void EndCounted()
    {
        if (_isCounted)
        {
            _isCounted = false;
            _connection.EndCall();
        }
    }

    private RpcException TooLong(uint length)
    {
        _server.Counters.CallsRefused.Add(RefusedCall.MessageTooLarge);
        return new RpcException(new Status(
            StatusCode.ResourceExhausted, $"The request message has {length} bytes; at most {_server.MaxReceiveMessageSize} are taken."));
    }
}
