using System.Buffers.Binary;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// The Device Serial Number among the extended capabilities in a function's configuration space (PCI Express Base Specification, sections 7.6.3 and
/// 7.9.3). It is readable whichever driver has the function, as a driver's own serial number in sysfs is not.
/// </summary>
internal static class PciSerialNumber
{
    private const int First = 0x100;
    private const int SpaceSize = 4096;
    private const int CapabilitySize = 12;
    private const ushort Id = 0x0003;

    /// <summary>The number; null where the function has none, or the list of its capabilities can't be followed.</summary>
    public static ulong? Find(ReadOnlySpan<byte> configuration)
    {
        int position = First;

        // A capability is four bytes at least: no chain has more steps.
        for (int steps = 0; steps < (SpaceSize - First) / 4 && position >= First && position + CapabilitySize <= configuration.Length; steps++)
        {
            uint header = BinaryPrimitives.ReadUInt32LittleEndian(configuration[position..]);
            if (header is 0 or uint.MaxValue)
            {
                return null;
            }

            if ((ushort)header == Id)
            {
                // The lower half comes first.
                return BinaryPrimitives.ReadUInt64LittleEndian(configuration[(position + 4)..]);
            }

            position = (int)(header >> 20) & ~3;
        }

        return null;
    }
}
