using System.Buffers.Binary;

namespace BarBroker.Devices.Vfio;

/// <summary>The list of capabilities in the first 256 bytes of a function's configuration space (PCI Local Bus Specification, section 6.7).</summary>
internal static class PciCapabilities
{
    public const byte PowerManagement = 0x01;
    public const byte Msix = 0x11;

    /// <summary>Bytes that the list lies in.</summary>
    public const int SpaceSize = 256;

    private const int StatusRegister = 0x06;
    private const int StatusHasCapabilities = 0x10;
    private const int Pointer = 0x34;
    private const int First = 0x40;

    /// <summary>Capabilities are four bytes at least, so no chain is longer.</summary>
    private const int MaxCount = (SpaceSize - First) / 4;

    /// <summary>The first capability with <paramref name="id"/>: its offset; null when there is none.</summary>
    /// <exception cref="InvalidDataException">The list can't be walked: what there is, is unknown.</exception>
    public static int? Find(ReadOnlySpan<byte> configuration, byte id)
    {
        if (configuration.Length < SpaceSize)
        {
            throw new InvalidDataException($"the configuration space ends after {configuration.Length} of {SpaceSize} bytes");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(configuration) == uint.MaxValue)
        {
            throw new InvalidDataException("the configuration space reads all ones, as that of a device that does not answer does");
        }

        if ((configuration[StatusRegister] & StatusHasCapabilities) == 0)
        {
            return null;
        }

        int position = configuration[Pointer] & ~3;
        for (int steps = 0; position != 0; steps++)
        {
            if (steps == MaxCount)
            {
                throw new InvalidDataException("the list of capabilities is a loop");
            }

            if (position < First)
            {
                throw new InvalidDataException($"the list of capabilities leads to 0x{position:x2}, where the header is");
            }

            if (configuration[position] == id)
            {
                return position;
            }

            position = configuration[position + 1] & ~3;
        }

        return null;
    }
}
