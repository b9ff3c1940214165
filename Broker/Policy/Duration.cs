using System.Globalization;
using System.Text.RegularExpressions;

namespace BarBroker.Policy;

/// <summary>Durations as the policy writes them: <c>"90s"</c>, <c>"15min"</c>, <c>"8h"</c>, <c>"7d"</c>.</summary>
internal static partial class Duration
{
    /// <summary>What would be right.</summary>
    public const string Forms = "a string such as \"90s\", \"15min\", \"8h\" or \"7d\"";

    /// <summary>Reads one. Centuries are as good as for ever.</summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        Match match = Form().Match(text);
        long unit = match.Groups["unit"].Value switch { "s" => 1, "min" => 60, "h" => 3600, "d" => 86400, _ => 0 };
        long seconds = match.Success ? unit * long.Parse(match.Groups["number"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture) : 0;
        duration = TimeSpan.FromSeconds(Math.Min(seconds, uint.MaxValue));
        return match.Success;
    }

    /// <summary>In the largest unit that it is a multiple of.</summary>
    public static string Show(TimeSpan duration)
    {
        long seconds = (long)duration.TotalSeconds;
        (long count, string unit) = (seconds % 86400, seconds % 3600, seconds % 60) switch
        {
            (0, _, _) => (seconds / 86400, "d"),
            (_, 0, _) => (seconds / 3600, "h"),
            (_, _, 0) => (seconds / 60, "min"),
            _ => (seconds, "s"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{count}{unit}");
    }

    [GeneratedRegex("^(?<number>[0-9]{1,9})(?<unit>s|min|h|d)\\z", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
