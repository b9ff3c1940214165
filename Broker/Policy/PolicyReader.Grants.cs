using System.Collections.Immutable;
using BarBroker.Devices;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    /// <summary>What is kept of them is a few bytes each.</summary>
    private const int MostPatternMatches = 1024 * 1024;

    private int _patternMatches;

    private void ReadGrants(JsonItem item, ImmutableArray<DeviceDraft> devices)
    {
        foreach (JsonItem grant in ReadList(item, "grants"))
        {
            ReadGrant(grant, devices);
        }
    }

    private void ReadGrant(JsonItem item, ImmutableArray<DeviceDraft> devices)
    {
        if (MapReader.Of(item, _errors, [.. PrincipalKeys, "device", "windows", "areas", "access", "exclusive", "memory", "p2p", .. LimitKeys]) is not { } map)
        {
            return;
        }

        Principal? principal = ReadPrincipal(map, "for whom the grant is");
        DeviceDraft? device = map.Required("device", "\"nvme0\"") is { } name ? ReadDeviceName(name, devices) : null;
        LeaseAccess? access = map.Required("access", "\"read-only\"") is { } word ? ReadAccess(word) : null;
        bool exclusive = map.Optional("exclusive") is not { } flag || ReadFlag(flag, onError: true);
        MemoryType memory = map.Optional("memory") is { } type ? ReadMemoryType(type) : MemoryType.Uncached;
        bool p2p = map.Optional("p2p") is { } wish && ReadFlag(wish, onError: false);
        JsonItem? windowNames = map.Optional("windows");
        JsonItem? areaItems = map.Optional("areas");
        ImmutableArray<WindowSelector> windows = windowNames is null ? [] : ReadWindowSelectors(windowNames, device);
        ImmutableArray<Area> areas = areaItems is null ? [] : ReadAreas(areaItems, device);
        GrantLimits limits = ReadLimits(map, windows);
        if (windowNames is null or JsonList { Items.IsEmpty: true } && areaItems is null or JsonList { Items.IsEmpty: true })
        {
            _errors.Add(item, "this grants nothing. Name at least one window in \"windows\" or give an area in \"areas\".");
        }

        if (p2p && device?.Source is SimulatedSource)
        {
            _errors.Add(map.Optional("p2p")!, $"device '{device.Name}' is simulated: no driver can attach to its memory. Leave \"p2p\" out.");
        }
        else if (p2p && access == LeaseAccess.ReadOnly)
        {
            _errors.Add(map.Optional("p2p")!, "a peer-to-peer lease can't be read-only: a driver that attaches to it may have its device write. Grant \"read-write\" access, or leave \"p2p\" out.");
        }

        if (principal is not null && access is not null)
        {
            device?.Grants.Add(new Grant(principal, windows, areas, access.Value, exclusive, memory, p2p, limits, item.At, item.Path));
        }
    }

    private DeviceDraft? ReadDeviceName(JsonItem item, ImmutableArray<DeviceDraft> devices)
    {
        string[] names = [.. devices.Select(device => device.Name)];
        if (item is not JsonText { Value: var name })
        {
            _errors.Add(item, $"found {item.Shown}; this is the name of a device. {NearestName.Suggest("", names)}");
            return null;
        }

        DeviceDraft? device = devices.FirstOrDefault(device => device.Name == name);
        if (device is null)
        {
            _errors.Add(item, $"found {item.Shown}; no device of this file has that name. {NearestName.Suggest(name, names)}");
        }

        return device;
    }

    private ImmutableArray<WindowSelector> ReadWindowSelectors(JsonItem item, DeviceDraft? device)
    {
        List<WindowSelector> selectors = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (JsonItem element in ReadList(item, "window names"))
        {
            if (element is not JsonText { Value: var text })
            {
                _errors.Add(element, $"found {element.Shown}; this is the name of a window, or a pattern such as \"doorbell-*\": a string.");
            }
            else if (!seen.Add(text))
            {
                _errors.Add(element, $"found {element.Shown} for the second time. Leave one.");
            }
            else if (device is not null && FindSelector(element, text, device) is { } selector)
            {
                selectors.Add(selector);
            }
        }

        return [.. selectors];
    }

    private WindowSelector? FindSelector(JsonItem item, string text, DeviceDraft device)
    {
        if (device.Selectors.TryGetValue(text, out WindowSelector? known))
        {
            return known;
        }

        bool isPattern = WindowSelector.IsPatternText(text);
        List<Window?> found = isPattern
            ? [.. device.Windows.Where(entry => WindowSelector.Fits(text, entry.Key)).Select(entry => entry.Value.Window)]
            : device.Windows.TryGetValue(text, out (FilePosition At, Window? Window) named) ? [named.Window] : [];
        if (found.Count == 0)
        {
            string problem = isPattern ? "has no window whose name fits that pattern" : "has no window of that name";
            _errors.Add(item, $"found {item.Shown}; device '{device.Name}' {problem}. {NearestName.Suggest(text, device.Windows.Keys)}");
            return null;
        }

        bool hadRoom = _patternMatches <= MostPatternMatches;
        _patternMatches += isPattern ? found.Count : 0;
        if (hadRoom && _patternMatches > MostPatternMatches)
        {
            _errors.Add(item, $"the file's patterns fit {_patternMatches} windows up to here, counting a window with each pattern that fits it; at most {MostPatternMatches}. Use fewer patterns that differ.");
        }

        return device.Selectors[text] = new WindowSelector(text, [.. found.OfType<Window>()]);
    }

    private ImmutableArray<Area> ReadAreas(JsonItem item, DeviceDraft? device)
    {
        List<Area> areas = [];
        foreach (JsonItem element in ReadList(item, "areas"))
        {
            if (MapReader.Of(element, _errors, "bar", "offset", "length") is { } map && ReadRange(map, element) is { } range)
            {
                areas.Add(new Area(range, element.At, element.Path));
                if (device?.Source is SimulatedSource simulated && FindProblem(simulated, [range]) is { } problem)
                {
                    _errors.Add(element, problem.Message);
                }
            }
        }

        return [.. areas];
    }

    private LeaseAccess? ReadAccess(JsonItem item)
    {
        switch (item)
        {
            case JsonText { Value: "read-only" }:
                return LeaseAccess.ReadOnly;
            case JsonText { Value: "read-write" }:
                return LeaseAccess.ReadWrite;
            default:
                _errors.Add(item, $"found {item.Shown}; this is \"read-only\" or \"read-write\".");
                return null;
        }
    }

    private MemoryType ReadMemoryType(JsonItem item)
    {
        switch (item)
        {
            case JsonText { Value: "uncached" }:
                return MemoryType.Uncached;
            case JsonText { Value: "write-combining" }:
                return MemoryType.WriteCombining;
            default:
                _errors.Add(item, $"found {item.Shown}; this is \"uncached\" or \"write-combining\".");
                return MemoryType.Uncached;
        }
    }

    private bool ReadFlag(JsonItem item, bool onError)
    {
        if (item is not JsonFlag { Value: var value })
        {
            _errors.Add(item, $"found {item.Shown}; this is true or false.");
            return onError;
        }

        return value;
    }

    private ImmutableArray<JsonItem> ReadList(JsonItem item, string kind)
    {
        if (item is JsonList { Items: var items })
        {
            return items;
        }

        _errors.Add(item, $"found {item.Shown}; this is an array of {kind}.");
        return [];
    }
}
