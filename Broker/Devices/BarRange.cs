namespace BarBroker.Devices;

/// <summary>A page-aligned, non-empty part of one BAR. Aligned and free of overflow by construction; its device knows whether it is in bounds.</summary>
public readonly record struct BarRange
{
    /// <summary>What ranges are multiples of, in bytes: the page size of every machine that this runs on.</summary>
    public const ulong PageSize = 4096;

    private BarRange(int bar, ulong offset, ulong length)
    {
        Bar = bar;
        Offset = offset;
        Length = length;
    }

    /// <summary>Base address register, 0 to 5.</summary>
    public int Bar { get; }

    /// <summary>Bytes from the BAR's start.</summary>
    public ulong Offset { get; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>The first byte past the range.</summary>
    public ulong End => Offset + Length;

    /// <summary>Makes a range, or says what is wrong with it.</summary>
    public static RangeError TryCreate(long bar, ulong offset, ulong length, out BarRange range)
    {
        range = default;
        if (bar is < 0 or > 5)
        {
            return RangeError.BarInvalid;
        }

        if (length == 0)
        {
            return RangeError.Empty;
        }

        if (offset % PageSize != 0 || length % PageSize != 0)
        {
            return RangeError.Unaligned;
        }

        if (offset > ulong.MaxValue - length)
        {
            return RangeError.Overflow;
        }

        range = new BarRange((int)bar, offset, length);
        return RangeError.None;
    }

    /// <summary>The two share at least one byte.</summary>
    public bool Overlaps(BarRange other) => Bar == other.Bar && Offset < other.End && other.Offset < End;

    /// <summary>Every byte of <paramref name="other"/> is in this range.</summary>
    public bool Contains(BarRange other) => Bar == other.Bar && Offset <= other.Offset && other.End <= End;

    /// <inheritdoc/>
    public override string ToString() => $"BAR {Bar} 0x{Offset:x}+0x{Length:x}";
}

/// <summary>Why three numbers are no <see cref="BarRange"/>.</summary>
public enum RangeError
{
    /// <summary>They are one.</summary>
    None,

    /// <summary>BARs are numbered 0 to 5.</summary>
    BarInvalid,

    /// <summary>The length is 0.</summary>
    Empty,

    /// <summary>Offset or length is no multiple of the page size.</summary>
    Unaligned,

    /// <summary>Offset plus length does not fit into 64 bits.</summary>
    Overflow,
}
