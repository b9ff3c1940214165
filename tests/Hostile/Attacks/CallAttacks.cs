namespace BarBroker.Hostile.Attacks;

/// <summary>Calls that are opened in any number, and left open.</summary>
internal sealed class StreamFlood() : Attack("stream_flood", "protocol_errors", "stream")
{
    private const int Calls = 1000;

    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Open(socket);
        for (uint call = 0; call < Calls && !connection.IsOver; call++)
        {
            connection.Send(AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, (2 * call) + 1, AttackSocket.HeaderBlock(Paths.Watch)));
        }

        connection.DrainToEnd();
    }
}

/// <summary>Calls that are reset as soon as they are opened.</summary>
internal sealed class RapidReset() : Attack("rapid_reset", "protocol_errors", "output_queue", "rapid_reset")
{
    private const int Calls = 2000;

    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Open(socket);
        for (uint call = 0; call < Calls && !connection.IsOver; call++)
        {
            uint stream = (2 * call) + 1;
            connection.Send(
            [
                .. AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, stream, AttackSocket.HeaderBlock(Paths.Watch)),
                .. AttackSocket.Frame(AttackSocket.Reset, 0, stream, [0, 0, 0, 8]),
            ]);
        }

        connection.DrainToEnd();
    }
}

/// <summary>Calls that last, on as many connections as it gets, to a client that reads no answer.</summary>
internal sealed class HeldCalls() : Attack("held_calls", "calls.refused", "user_full")
{
    private const int CallsPerConnection = 100;
    private const int Connections = 20;

    private readonly List<AttackSocket> _connections = [];

    internal override void Strike(string socket)
    {
        // Beyond its limit: again and again.
        if (_connections.Count == Connections)
        {
            _connections[0].Dispose();
            _connections.RemoveAt(0);
        }

        AttackSocket connection = AttackSocket.Open(socket);
        _connections.Add(connection);
        for (uint call = 0; call < CallsPerConnection; call++)
        {
            connection.Send(AttackSocket.Call((2 * call) + 1, Paths.Watch, []));
        }
    }

    internal override void Rest()
    {
        _connections.ForEach(static connection => connection.Dispose());
        _connections.Clear();
    }
}

/// <summary>As many calls as the broker takes, on connections enough to reach the user's limit: one user who wants everything.</summary>
internal sealed class CallFlood() : Attack("call_flood", "calls.refused", "user_full")
{
    private const int CallsAtOnce = 100;
    private const int Connections = 16;

    private readonly AttackSocket?[] _connections = new AttackSocket?[Connections];
    private readonly uint[] _streams = new uint[Connections];

    internal override void Strike(string socket)
    {
        // First all are begun, then all are ended: so that they are under way together.
        for (int i = 0; i < Connections; i++)
        {
            if (_connections[i] is null or { IsOver: true })
            {
                _connections[i]?.Dispose();
                _connections[i] = AttackSocket.Open(socket);
                _streams[i] = 1;
            }

            List<byte> calls = [];
            for (int call = 0; call < CallsAtOnce; call++)
            {
                calls.AddRange(AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, _streams[i] + (uint)(2 * call), AttackSocket.HeaderBlock(Paths.Check)));
            }

            // The bytes that the answers took of the connection's window.
            calls.AddRange(AttackSocket.Frame(8, 0, 0, [0, 0, 0x20, 0]));
            _connections[i]!.Send([.. calls]);
        }

        // The last ones are refused, once all before them are under way: only then is that so.
        _connections[^1]!.Await();
        for (int i = 0; i < Connections; i++)
        {
            for (int call = 0; call < CallsAtOnce; call++, _streams[i] += 2)
            {
                _connections[i]!.Send(AttackSocket.Frame(0, AttackSocket.EndStream, _streams[i], new byte[5]));
            }

            _connections[i]!.Drain();
        }
    }

    internal override void Rest()
    {
        for (int i = 0; i < Connections; i++)
        {
            _connections[i]?.Dispose();
            _connections[i] = null;
        }
    }
}

/// <summary>Messages that announce more than is taken.</summary>
internal sealed class OversizedMessages() : Attack("oversized_messages", "calls.refused", "message_too_large")
{
    private const int Calls = 50;

    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Open(socket);
        for (uint call = 0; call < Calls && !connection.IsOver; call++)
        {
            uint stream = (2 * call) + 1;
            connection.Send(
            [
                .. AttackSocket.Frame(AttackSocket.Headers, AttackSocket.EndHeaders, stream, AttackSocket.HeaderBlock(Paths.Check)),
                .. AttackSocket.Frame(0, AttackSocket.EndStream, stream, [0, 0x7f, 0xff, 0xff, 0xff, .. new byte[1000]]),
            ]);
        }

        connection.DrainToEnd();
    }
}

/// <summary>The methods that attacks call.</summary>
internal static class Paths
{
    internal const string Check = "/grpc.health.v1.Health/Check";
    internal const string Watch = "/grpc.health.v1.Health/Watch";
    internal const string Acquire = "/barbroker.v1.Broker/Acquire";
}
