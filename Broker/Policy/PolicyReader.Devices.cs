using System.Collections.Immutable;
using System.Text.RegularExpressions;
using BarBroker.Devices;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    private ImmutableArray<DeviceDraft> ReadDevices(JsonItem item)
    {
        List<DeviceDraft> drafts = [];
        foreach (JsonMember member in MapReader.NamedMembers(item, "devices by name", _errors))
        {
            CheckName(member, "device");
            DeviceDraft draft = ReadDevice(member);
            if (draft.Source is PciSource { Address: var address }
                && drafts.Find(other => other.Source is PciSource source && source.Address == address) is { } twin)
            {
                _errors.Add(draft.Source.At, draft.Source.KeyPath, $"{address} is device '{twin.Name}' already. A function has one name: give both sets of windows to it.");
            }

            drafts.Add(draft);
        }

        if (item is JsonMap { Members.IsEmpty: true })
        {
            _errors.Add(item, "there is no device here, and so nothing to lease. Name at least one.");
        }

        return [.. drafts];
    }

    private DeviceDraft ReadDevice(JsonMember member)
    {
        DeviceDraft draft = new(member.Name);
        if (MapReader.Of(member.Value, _errors, "address", "simulated", "windows") is not { } map)
        {
            return draft;
        }

        JsonItem? source = map.ExactlyOne("address", "simulated", "what the device is");
        draft.Source = source is null ? null : source == map.Optional("address") ? ReadAddress(source) : ReadSimulated(source);
        if (map.Optional("windows") is { } windows)
        {
            foreach (JsonMember window in MapReader.NamedMembers(windows, "windows by name", _errors))
            {
                CheckName(window, "window");
                draft.WindowNames.Add(window.Name);
                if (ReadWindow(window) is { } read)
                {
                    draft.Windows.Add(read);
                }
            }
        }

        // A real device's BARs are known when it is opened; a simulated one's stand here.
        if (draft.Source is SimulatedSource simulated)
        {
            draft.Windows.ForEach(window => CheckBounds(simulated, window.Ranges.Items, window.At, window.KeyPath));
        }

        return draft;
    }

    private PciSource? ReadAddress(JsonItem item)
    {
        if (item is JsonText text && PciAddress.TryParse(text.Value, out PciAddress address))
        {
            return new PciSource(item.At, item.Path, address);
        }

        string cure = item is JsonText { Value: var found } && PciAddress.TryParse($"0000:{found}", out PciAddress completed)
            ? $"the domain is missing. Write \"{completed}\"."
            : "this is the address of a PCI function with its domain, such as \"0000:01:00.0\", as lspci -D shows it.";
        _errors.Add(item, $"found {item.Shown}; {cure}");
        return null;
    }

    private SimulatedSource? ReadSimulated(JsonItem item)
    {
        if (MapReader.Of(item, _errors, "bars")?.Required("bars", "{ \"2\": \"1MiB\" }") is not { } bars)
        {
            return null;
        }

        SortedDictionary<int, BarGeometry> geometry = [];
        foreach (JsonMember bar in MapReader.NamedMembers(bars, "BAR sizes by number, such as \"2\": \"1MiB\"", _errors))
        {
            ulong? size = ReadPages(bar.Value, canBeZero: false);
            if (bar.Name is not [>= '0' and <= '5'])
            {
                _errors.Add(bar.At, bar.Value.Path, $"found '{bar.Name}'; a BAR is a number from \"0\" to \"5\".");
            }
            else if (size > long.MaxValue)
            {
                _errors.Add(bar.Value, $"found {bar.Value.Shown}; a BAR has less than 2^63 bytes.");
            }
            else if (size is { } bytes)
            {
                geometry.Add(bar.Name[0] - '0', new BarGeometry(bar.Name[0] - '0', bytes, []));
            }
        }

        if (bars is JsonMap { Members.IsEmpty: true })
        {
            _errors.Add(bars, "a device without BARs has nothing to lease. Write for example { \"2\": \"1MiB\" }.");
        }

        return geometry.Count == 0 ? null : new SimulatedSource(item.At, item.Path, [.. geometry.Values]);
    }

    private Window? ReadWindow(JsonMember member)
    {
        if (MapReader.Of(member.Value, _errors, "bar", "offset", "length", "ranges") is not { } map)
        {
            return null;
        }

        RangeList? ranges = map.Optional("ranges") is { } several
            ? ReadRanges(map, several)
            : ReadRange(map, member.Value) is { } range ? RangeList.Of(range) : null;
        return ranges is null ? null : new Window(member.Name, ranges, member.At, member.Value.Path);
    }

    /// <summary>The "ranges" of a window, in place of its "offset" and "length".</summary>
    private RangeList? ReadRanges(MapReader window, JsonItem item)
    {
        long? bar = window.Required("bar", "0") is { } number ? ReadBarIndex(number) : null;
        foreach (string key in (string[])["offset", "length"])
        {
            if (window.Optional(key) is { } superfluous)
            {
                _errors.Add(superfluous, $"the window has \"ranges\", each with an \"{key}\" of its own. Leave one or the other.");
                bar = null;
            }
        }

        ImmutableArray<JsonItem> elements = ReadList(item, "ranges, such as { \"offset\": \"0x1000\", \"length\": \"4KiB\" }");
        List<BarRange> ranges = [];
        foreach (JsonItem element in elements)
        {
            if (MapReader.Of(element, _errors, "offset", "length") is { } map && ReadRange(map, element, bar) is { } range)
            {
                ranges.Add(range);
            }
        }

        if (item is not JsonList || ranges.Count < elements.Length)
        {
            return null;
        }

        switch (RangeList.TryCreate([.. ranges], out RangeList? list, out int culprit))
        {
            case RangeListError.Count:
                _errors.Add(item, $"found {ranges.Count} ranges; a window has 1 to {RangeList.MaxCount}.");
                break;
            case RangeListError.Overlap:
                int earlier = ranges.FindIndex(ranges[culprit].Overlaps);
                _errors.Add(elements[culprit], $"{ranges[culprit]} overlaps {ranges[earlier]}, range {earlier} of the window. Each byte of it can be there once.");
                break;
        }

        return list;
    }

    private void CheckBounds(SimulatedSource source, IEnumerable<BarRange> ranges, FilePosition at, string keyPath)
    {
        if (ranges.Select(range => DeviceGeometry.Check(source.Bars, range)).FirstOrDefault(problem => problem is not null) is { } problem)
        {
            _errors.Add(at, keyPath, problem.Message);
        }
    }

    /// <summary>Names appear in logs, listings and command lines.</summary>
    private void CheckName(JsonMember member, string kind)
    {
        if (!NameForm().IsMatch(member.Name))
        {
            _errors.Add(member.At, member.Value.Path, $"this is no name for a {kind}: use 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit.");
        }
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\z", RegexOptions.CultureInvariant)]
    private static partial Regex NameForm();

    /// <summary>A device as far as it could be read.</summary>
    private sealed class DeviceDraft(string name)
    {
        public string Name { get; } = name;

        public DeviceSource? Source { get; set; }

        /// <summary>All, also those that are not valid: a grant that names one of these is not to blame.</summary>
        public List<string> WindowNames { get; } = [];

        public List<Window> Windows { get; } = [];

        public List<Grant> Grants { get; } = [];

        public DeviceDefinition ToDefinition() => new(Name, Source!, [.. Windows], [.. Grants]);
    }
}
