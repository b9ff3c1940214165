namespace BarBroker.Policy;

/// <summary>A place in the policy file; both numbers count from 1, columns in characters.</summary>
internal readonly record struct FilePosition(int Line, int Column)
{
    /// <summary>The place of the byte at <paramref name="offset"/> of a UTF-8 text.</summary>
    public static FilePosition Of(ReadOnlySpan<byte> text, int offset)
    {
        return new FilePosition(1, 1).After(text[..Math.Min(offset, text.Length)]);
    }

    /// <summary>The place behind <paramref name="passed"/>, which begins here.</summary>
    public FilePosition After(ReadOnlySpan<byte> passed)
    {
        int lines = passed.Count((byte)'\n');
        return lines == 0
            ? this with { Column = Column + CharactersIn(passed) }
            : new FilePosition(Line + lines, CharactersIn(passed[(passed.LastIndexOf((byte)'\n') + 1)..]) + 1);
    }

    private static int CharactersIn(ReadOnlySpan<byte> utf8)
    {
        int count = 0;
        foreach (byte b in utf8)
        {
            // Continuation bytes belong to a character that was counted already.
            count += (b & 0xc0) == 0x80 ? 0 : 1;
        }

        return count;
    }
}
