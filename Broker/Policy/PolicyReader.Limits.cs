using System.Collections.Immutable;
using System.Globalization;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    private const int MostLeases = 65536;
    private const int MostRenewals = 1_000_000;
    private static readonly TimeSpan LongestLeaseTime = TimeSpan.FromDays(365);
    private static readonly string[] LimitKeys = ["maxLeases", "maxBytes", "maxLeaseTime", "maxRenewals"];

    private GrantLimits ReadLimits(MapReader map, ImmutableArray<WindowSelector> windows)
    {
        int? leases = map.Optional("maxLeases") is { } count ? ReadCount(count, 1, MostLeases) : null;
        ulong? bytes = ReadPages(map.Optional("maxBytes"), canBeZero: false);
        TimeSpan? time = map.Optional("maxLeaseTime") is { } duration ? ReadLeaseTime(duration) : null;
        int? renewals = map.Optional("maxRenewals") is { } number ? ReadCount(number, 0, MostRenewals) : null;
        if (map.Optional("maxRenewals") is { } superfluous && map.Optional("maxLeaseTime") is null)
        {
            _errors.Add(superfluous, "leases without a \"maxLeaseTime\" have nothing to renew. Add one, or leave this out.");
        }

        foreach (Window window in windows.Where(selector => !selector.IsPattern).SelectMany(selector => selector.Windows))
        {
            if (window.Ranges.Bytes > bytes)
            {
                _errors.Add(map.Optional("maxBytes")!, $"0x{bytes:x} bytes are less than window '{window.Name}' has, 0x{window.Ranges.Bytes:x}: it could never be leased.");
            }
        }

        return new GrantLimits(leases, bytes, time, renewals);
    }

    private int? ReadCount(JsonItem item, int least, int most)
    {
        if (item is JsonNumber { Digits: var digits } && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count >= least && count <= most)
        {
            return count;
        }

        _errors.Add(item, $"found {item.Shown}; this is a number from {least} to {most}.");
        return null;
    }

    private TimeSpan? ReadLeaseTime(JsonItem item)
    {
        if (item is JsonText { Value: var text } && Duration.TryParse(text, out TimeSpan time) && time >= TimeSpan.FromSeconds(1) && time <= LongestLeaseTime)
        {
            return time;
        }

        _errors.Add(item, $"found {item.Shown}; this is {Duration.Forms}, from 1s to {Duration.Show(LongestLeaseTime)}.");
        return null;
    }
}
