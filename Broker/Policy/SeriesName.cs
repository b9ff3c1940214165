using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Policy;

/// <summary>The name of a series of windows, such as <c>doorbell-{0..31}</c>, which stands for one name a number.</summary>
/// <param name="Prefix">What comes before the number.</param>
/// <param name="First">The first number.</param>
/// <param name="Last">The last number, no less than the first.</param>
/// <param name="Suffix">What comes after it.</param>
internal sealed partial record SeriesName(string Prefix, int First, int Last, string Suffix)
{
    public int Count => Last - First + 1;

    /// <summary>The name of the window at <paramref name="index"/>, from 0.</summary>
    public string this[int index] => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{First + index}{Suffix}");

    /// <summary>Braces are in no other name.</summary>
    public static bool IsMeant(string name) => name.AsSpan().ContainsAny('{', '}');

    /// <summary>Reads one. <paramref name="problem"/> says what is wrong and what would be right.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out SeriesName? name, out string problem)
    {
        name = null;
        Match match = Form().Match(text);
        if (!match.Success)
        {
            problem = "this is no series of windows: write its numbers once, between braces and without leading zeros, as in \"doorbell-{0..31}\".";
            return false;
        }

        int first = int.Parse(match.Groups["first"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);
        int last = int.Parse(match.Groups["last"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);
        if (first > last)
        {
            problem = $"{first} comes after {last}: write {{{last}..{first}}}.";
            return false;
        }

        problem = "";
        name = new SeriesName(match.Groups["prefix"].Value, first, last, match.Groups["suffix"].Value);
        return true;
    }

    // Nine digits fit into an int.
    [GeneratedRegex("^(?<prefix>[^{}]*)\\{(?<first>0|[1-9][0-9]{0,8})\\.\\.(?<last>0|[1-9][0-9]{0,8})\\}(?<suffix>[^{}]*)\\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
