namespace BarBroker.Transport.Redeem;

/// <summary>What a connection begins with that came for a ticket's descriptor: <c>BARFD1 </c>, the ticket, a newline. HTTP/2 begins with P.</summary>
internal static class TicketPreface
{
    internal const byte FirstByte = (byte)'B';

    /// <summary>Bytes of all of it.</summary>
    internal const int Length = 7 + TicketSecret.Digits + 1;

    private static ReadOnlySpan<byte> Name => "BARFD1 "u8;

    /// <summary>Whether it is one, or can become one with more bytes: nobody is waited for who can't be right any more.</summary>
    internal static bool IsBeginning(ReadOnlySpan<byte> bytes)
    {
        int name = Math.Min(bytes.Length, Name.Length);
        if (bytes.Length > Length || !bytes[..name].SequenceEqual(Name[..name]))
        {
            return false;
        }

        foreach (byte digit in bytes[name..Math.Min(bytes.Length, Length - 1)])
        {
            if (!TicketSecret.IsDigit(digit))
            {
                return false;
            }
        }

        return bytes.Length < Length || bytes[^1] == '\n';
    }

    /// <summary>Reads a whole one.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> bytes, out TicketSecret secret)
    {
        secret = default;
        return bytes.Length == Length && IsBeginning(bytes) && TicketSecret.TryParse(bytes[Name.Length..^1], out secret);
    }
}
