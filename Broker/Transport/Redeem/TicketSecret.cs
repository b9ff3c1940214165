using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BarBroker.Transport.Redeem;

/// <summary>
/// What makes a ticket: 128 random bits. Looked up by its hash, which is keyed anew in every process, so that the time it takes tells nothing
/// about other tickets.
/// </summary>
internal readonly record struct TicketSecret
{
    /// <summary>Hexadecimal digits of one, lower-case.</summary>
    internal const int Digits = 32;

    private readonly UInt128 _bits;

    private TicketSecret(UInt128 bits)
    {
        _bits = bits;
    }

    internal static TicketSecret Create()
    {
        Span<byte> bits = stackalloc byte[Digits / 2];
        RandomNumberGenerator.Fill(bits);
        return new TicketSecret(BinaryPrimitives.ReadUInt128BigEndian(bits));
    }

    /// <summary>Reads exactly <see cref="Digits"/> lower-case digits, and nothing else.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> digits, out TicketSecret secret)
    {
        secret = default;
        if (digits.Length != Digits)
        {
            return false;
        }

        UInt128 bits = 0;
        foreach (byte digit in digits)
        {
            if (!IsDigit(digit))
            {
                return false;
            }

            bits = (bits << 4) | (uint)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
        }

        secret = new TicketSecret(bits);
        return true;
    }

    internal static bool IsDigit(byte digit) => digit is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'a' and <= (byte)'f');

    /// <summary>For its holder's eyes only.</summary>
    internal string Reveal() => _bits.ToString("x32", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Fit for a log.</summary>
    public override string ToString() => "(secret)";
}
