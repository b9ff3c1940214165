using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Policy;

/// <summary>Offsets and lengths as the policy writes them: <c>4096</c>, <c>"0x1000"</c>, <c>"4KiB"</c>.</summary>
internal static partial class ByteCount
{
    /// <summary>What would be right.</summary>
    public const string Forms = "an integer such as 4096, or a string such as \"0x1000\", \"4096\", \"64KiB\", \"1MiB\" or \"1GiB\"";

    /// <summary>Reads one. <paramref name="problem"/> says what is wrong, without naming the value.</summary>
    public static bool TryParse(string text, out ulong bytes, out string problem)
    {
        bytes = 0;
        problem = $"this is no count of bytes. Write {Forms}.";
        Match match = Form().Match(text);
        if (!match.Success)
        {
            return false;
        }

        bool hexadecimal = match.Groups["hex"].Success;
        UInt128 value = 0;
        ReadOnlySpan<char> digits = match.Groups[hexadecimal ? "hex" : "decimal"].ValueSpan.TrimStart('0');

        // 20 decimal digits hold 2^64 - 1; more than that can't fit, and 128 bits hold what is left.
        bool fits = digits.Length <= 20;
        if (fits && digits.Length > 0)
        {
            value = UInt128.Parse(digits, hexadecimal ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture);
        }

        value <<= match.Groups["unit"].Value switch { "KiB" => 10, "MiB" => 20, "GiB" => 30, _ => 0 };
        if (!fits || value > ulong.MaxValue)
        {
            problem = "this is more than 64 bits hold (0xffffffffffffffff).";
            return false;
        }

        bytes = (ulong)value;
        return true;
    }

    [GeneratedRegex("^(?:0x(?<hex>[0-9a-fA-F]+)|(?<decimal>[0-9]+)(?<unit>KiB|MiB|GiB)?)\\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
