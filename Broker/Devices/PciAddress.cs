using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Devices;

/// <summary>Where a PCI function sits: domain, bus, slot and function, written <c>0000:01:00.0</c> in hexadecimal as lspci -D does.</summary>
public readonly partial record struct PciAddress(uint Domain, byte Bus, byte Slot, byte Function)
{
    /// <summary>Slot and function as the kernel packs them.</summary>
    public ushort DevFn => (ushort)((Slot << 3) | Function);

    /// <summary>Reads the full form; the domain can't be left out.</summary>
    public static bool TryParse(string text, out PciAddress address)
    {
        Match match = Form().Match(text);
        address = match.Success
            ? new PciAddress(
                uint.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                byte.Parse(match.Groups[2].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                byte.Parse(match.Groups[3].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                byte.Parse(match.Groups[4].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture))
            : default;
        return match.Success;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Domain:x4}:{Bus:x2}:{Slot:x2}.{Function}";

    [GeneratedRegex("^([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([01][0-9a-fA-F])\\.([0-7])\\z")]
    private static partial Regex Form();
}
