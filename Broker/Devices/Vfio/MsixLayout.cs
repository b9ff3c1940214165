using System.Buffers.Binary;
using System.Collections.Immutable;

namespace BarBroker.Devices.Vfio;

/// <summary>Where a function keeps its MSI-X table and pending bits (PCI Express Base Specification, MSI-X capability structure).</summary>
/// <remarks>Who can write the table makes the device write anywhere that interrupts go: these pages are never leased.</remarks>
internal static class MsixLayout
{
    private const int MsixLength = 12;
    private const int TableEntrySize = 16;

    /// <summary>Reads the first 256 bytes of a function's configuration space.</summary>
    /// <returns>The ranges that the structures touch, aligned outward to pages, merged, in order; none when the function has no MSI-X.</returns>
    /// <exception cref="InvalidDataException">The capabilities can't be walked or say what can't be: where the table is, is unknown.</exception>
    public static ImmutableArray<BarRange> Parse(ReadOnlySpan<byte> configuration)
    {
        if (PciCapabilities.Find(configuration, PciCapabilities.Msix) is not { } position)
        {
            return [];
        }

        return position + MsixLength <= PciCapabilities.SpaceSize
            ? ParseCapability(configuration.Slice(position, MsixLength))
            : throw new InvalidDataException($"the MSI-X capability at 0x{position:x2} reaches past the end of its space");
    }

    private static ImmutableArray<BarRange> ParseCapability(ReadOnlySpan<byte> capability)
    {
        uint vectors = (BinaryPrimitives.ReadUInt16LittleEndian(capability[2..]) & 0x7ffu) + 1;
        BarRange table = ToRange(BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]), vectors * TableEntrySize, "table");
        BarRange pending = ToRange(BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]), (vectors + 63) / 64 * 8, "pending bit array");
        if (table.Bar != pending.Bar || table.End < pending.Offset || pending.End < table.Offset)
        {
            return [.. new[] { table, pending }.OrderBy(range => range.Bar).ThenBy(range => range.Offset)];
        }

        ulong start = Math.Min(table.Offset, pending.Offset);
        return [Create(table.Bar, start, Math.Max(table.End, pending.End) - start)];
    }

    private static BarRange ToRange(uint register, uint length, string what)
    {
        uint bar = register & 7;
        if (bar > 5)
        {
            throw new InvalidDataException($"the MSI-X {what} is said to be in BAR {bar}, and BARs are numbered 0 to 5");
        }

        ulong offset = register & ~7u;
        ulong start = offset & ~(BarRange.PageSize - 1);
        ulong end = (offset + length + BarRange.PageSize - 1) & ~(BarRange.PageSize - 1);
        return Create((int)bar, start, end - start);
    }

    private static BarRange Create(int bar, ulong offset, ulong length)
    {
        RangeError error = BarRange.TryCreate(bar, offset, length, out BarRange range);
        return error == RangeError.None ? range : throw new InvalidOperationException($"A page-aligned range was refused: {error}.");
    }
}
