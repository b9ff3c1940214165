using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Devices;

/// <summary>What a PCI function is, wherever it sits: vendor and device, written <c>8086:0a54</c> as lspci -n does, and which one of those.</summary>
/// <param name="Vendor">Vendor id.</param>
/// <param name="Device">Device id.</param>
/// <param name="Serial">
/// The number of the Device Serial Number capability (PCI Express Base Specification, section 7.9.3), written <c>00-15-17-ff-ff-ab-cd-ef</c>; null where
/// there is only one such function.
/// </param>
public readonly partial record struct PciIdentity(ushort Vendor, ushort Device, ulong? Serial)
{
    /// <summary>Reads vendor and device.</summary>
    public static bool TryParse(string text, out PciIdentity identity)
    {
        Match match = IdForm().Match(text);
        identity = match.Success
            ? new PciIdentity(ushort.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture), ushort.Parse(match.Groups[2].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture), null)
            : default;
        return match.Success;
    }

    /// <summary>Reads a serial number as lspci -v shows it.</summary>
    public static bool TryParseSerial(string text, out ulong serial)
    {
        bool isSerial = SerialForm().IsMatch(text);
        serial = isSerial ? ulong.Parse(text.Replace("-", "", StringComparison.Ordinal), NumberStyles.HexNumber, CultureInfo.InvariantCulture) : 0;
        return isSerial;
    }

    /// <summary>The form that <see cref="TryParseSerial"/> reads.</summary>
    public static string Show(ulong serial)
    {
        string digits = serial.ToString("x16", CultureInfo.InvariantCulture);
        return string.Join('-', Enumerable.Range(0, 8).Select(i => digits.Substring(2 * i, 2)));
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Vendor:x4}:{Device:x4}{(Serial is { } serial ? $" with serial {Show(serial)}" : "")}";

    [GeneratedRegex("^([0-9a-fA-F]{4}):([0-9a-fA-F]{4})\\z")]
    private static partial Regex IdForm();

    [GeneratedRegex("^(?:[0-9a-fA-F]{2}-){7}[0-9a-fA-F]{2}\\z")]
    private static partial Regex SerialForm();
}
