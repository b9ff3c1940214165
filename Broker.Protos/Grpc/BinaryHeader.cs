using System.Buffers.Text;

namespace BarBroker.Grpc;

/// <summary>Values of <c>-bin</c> metadata: base64, sent without padding, taken with or without.</summary>
internal static class BinaryHeader
{
    internal static string Encode(ReadOnlySpan<byte> value) => Convert.ToBase64String(value).TrimEnd('=');

    /// <summary>Adds every value of a header to <paramref name="metadata"/>: intermediaries may have joined several with commas.</summary>
    /// <returns>False when one of them is no base64.</returns>
    internal static bool TryAddTo(Metadata metadata, string key, string header)
    {
        foreach (Range part in header.AsSpan().Split(','))
        {
            if (!TryDecode(header.AsSpan()[part].Trim(' '), out byte[] value))
            {
                return false;
            }

            metadata.Add(key, value);
        }

        return true;
    }

    private static bool TryDecode(ReadOnlySpan<char> text, out byte[] value)
    {
        value = [];
        text = text.TrimEnd('=');
        int padded = (text.Length + 3) / 4 * 4;
        if (text.Length % 4 == 1 || text.ContainsAny(" \t\r\n"))
        {
            return false;
        }

        Span<char> buffer = padded <= 512 ? stackalloc char[padded] : new char[padded];
        text.CopyTo(buffer);
        buffer[text.Length..].Fill('=');
        byte[] decoded = new byte[Base64.GetMaxDecodedFromUtf8Length(padded)];
        if (!Convert.TryFromBase64Chars(buffer, decoded, out int length))
        {
            return false;
        }

        value = decoded.AsSpan(0, length).ToArray();
        return true;
    }
}
