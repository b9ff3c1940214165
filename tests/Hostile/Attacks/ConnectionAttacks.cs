namespace BarBroker.Hostile.Attacks;

/// <summary>Connections that are held, and more that are asked for than there are.</summary>
internal abstract class HeldConnections(string name, string kind) : Attack(name, "connections.refused", kind, "user_too_often")
{
    private const int Most = 256;
    private const int PerStrike = 50;

    private readonly List<AttackSocket> _held = [];

    internal override bool IsAboutRefusals => true;

    internal override void Strike(string socket)
    {
        for (int i = 0; i < PerStrike; i++)
        {
            AttackSocket connection = AttackSocket.Connect(socket);
            Begin(connection);
            if (_held.Count < Most)
            {
                _held.Add(connection);
            }
            else
            {
                connection.Dispose();
            }
        }

        _held.ForEach(GoOn);
    }

    internal override void Rest()
    {
        _held.ForEach(static connection => connection.Dispose());
        _held.Clear();
    }

    private protected abstract void Begin(AttackSocket connection);

    private protected virtual void GoOn(AttackSocket connection)
    {
    }
}

/// <summary>Connections that never speak.</summary>
internal sealed class SilentConnections() : HeldConnections("silent_connections", "user_silent")
{
    private protected override void Begin(AttackSocket connection)
    {
    }
}

/// <summary>Slow-loris: connections that say a byte of the preface now and then.</summary>
internal sealed class SlowLoris() : HeldConnections("slow_loris", "user_silent")
{
    private protected override void Begin(AttackSocket connection) => connection.Send("P"u8);

    private protected override void GoOn(AttackSocket connection) => connection.Send("R"u8);
}

/// <summary>Connections that begin a call's headers and never end them.</summary>
internal sealed class HalfOpenConnections() : HeldConnections("half_open_connections", "user_full")
{
    private protected override void Begin(AttackSocket connection) => connection.Send(
        [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. AttackSocket.Frame(AttackSocket.Settings, 0, 0, []), .. AttackSocket.Frame(AttackSocket.Headers, 0, 1, [0x83])]);
}

/// <summary>Connections that speak, and more of them than there are, as fast as they are refused.</summary>
internal sealed class ConnectionFlood() : HeldConnections("connection_flood", "user_full")
{
    private protected override void Begin(AttackSocket connection) => connection.Send(
        [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. AttackSocket.Frame(AttackSocket.Settings, 0, 0, [])]);
}
