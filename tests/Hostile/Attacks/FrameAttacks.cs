namespace BarBroker.Hostile.Attacks;

/// <summary>The same frame without end, on a connection that is made anew when it is ended.</summary>
internal sealed class FrameFlood(string name, string kind, byte[] frame, byte[]? before = null) : Attack(name, "frame_floods", kind)
{
    private const int FramesPerPiece = 500;
    private const int Pieces = 20;

    private readonly byte[] _piece = [.. Enumerable.Repeat(frame, FramesPerPiece).SelectMany(static bytes => bytes)];

    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Open(socket);
        connection.Send(before ?? []);
        for (int piece = 0; piece < Pieces && !connection.IsOver; piece++)
        {
            connection.Send(_piece);
            connection.Drain();
        }
    }
}

/// <summary>Bytes that are no HTTP/2, or beyond its limits, on a connection that is made anew when it is ended.</summary>
/// <param name="name">Of the attack.</param>
/// <param name="kinds">Of protocol errors.</param>
/// <param name="bytes">What to send, after the preface.</param>
internal sealed class Nonsense(string name, string[] kinds, byte[] bytes) : Attack(name, "protocol_errors", kinds)
{
    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Open(socket);
        connection.Send(bytes);
        connection.DrainToEnd();
    }
}

/// <summary>Bytes before the preface.</summary>
internal sealed class Garbage() : Attack("garbage_before_preface", "protocol_errors", "connection")
{
    private readonly byte[] _bytes = [.. Enumerable.Range(0, 16 * 1024).Select(static i => (byte)((i * 31) | 0x80))];

    internal override void Strike(string socket)
    {
        using AttackSocket connection = AttackSocket.Connect(socket);
        connection.Send(_bytes);
        connection.DrainToEnd();
    }
}
