using System.Text.RegularExpressions;

namespace BarBroker.Unix;

/// <summary>Which unit of the system's service manager a process is in, as its place among the control groups says (cgroups(7)).</summary>
internal static partial class SystemdUnit
{
    private const string Unified = "0::";

    /// <summary>A service or scope: the units that processes are in (systemd.unit(5)).</summary>
    public static bool IsName(string name) => Name().IsMatch(name);

    /// <summary>
    /// The outermost unit, from the text of <c>/proc/PID/cgroup</c>; null when the process is in none. What is below it belongs to
    /// whom the unit delegated it to, such as a user's service manager or a container, who can give it any name.
    /// </summary>
    public static string? Of(string cgroups)
    {
        string? line = cgroups.Split('\n').FirstOrDefault(line => line.StartsWith(Unified, StringComparison.Ordinal));
        foreach (string part in line?[Unified.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries) ?? [])
        {
            // Slices only group units. A name that a file of the kernel could have is escaped by an underscore.
            string name = part.StartsWith('_') ? part[1..] : part;
            if (!name.EndsWith(".slice", StringComparison.Ordinal))
            {
                return IsName(name) ? name : null;
            }
        }

        return null;
    }

    [GeneratedRegex("^(?=.{1,255}\\z)[A-Za-z0-9:_.\\\\-]+(?:@[A-Za-z0-9:_.\\\\-]+)?\\.(?:service|scope)\\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
