using System.Globalization;
using System.Text;

namespace BarBroker.Grpc;

/// <summary>How <c>grpc-message</c> carries any text in a header: UTF-8, with everything but printable ASCII, and the percent sign, as %XX.</summary>
internal static class PercentEncoding
{
    private const string Digits = "0123456789ABCDEF";

    internal static string Encode(string text)
    {
        if (IsPlain(text))
        {
            return text;
        }

        // Unpaired surrogates become U+FFFD, as the encoder does by default.
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        StringBuilder encoded = new(utf8.Length + 16);
        foreach (byte b in utf8)
        {
            if (b is >= 0x20 and <= 0x7e and not (byte)'%')
            {
                encoded.Append((char)b);
            }
            else
            {
                encoded.Append('%').Append(Digits[b >> 4]).Append(Digits[b & 0xf]);
            }
        }

        return encoded.ToString();
    }

    /// <summary>Never fails: what is no %XX stays as it is, what is no UTF-8 becomes U+FFFD.</summary>
    internal static string Decode(string text)
    {
        if (!text.Contains('%', StringComparison.Ordinal))
        {
            return text;
        }

        byte[] source = Encoding.UTF8.GetBytes(text);
        byte[] decoded = new byte[source.Length];
        int length = 0;
        for (int i = 0; i < source.Length; i++)
        {
            // Not byte.TryParse, which takes a digit with a NUL behind it.
            if (source[i] == '%' && i + 2 < source.Length && char.IsAsciiHexDigit((char)source[i + 1]) && char.IsAsciiHexDigit((char)source[i + 2]))
            {
                decoded[length++] = byte.Parse(source.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                i += 2;
            }
            else
            {
                decoded[length++] = source[i];
            }
        }

        return Encoding.UTF8.GetString(decoded, 0, length);
    }

    private static bool IsPlain(string text)
    {
        foreach (char c in text)
        {
            if (c is < ' ' or > '~' or '%')
            {
                return false;
            }
        }

        return true;
    }
}
