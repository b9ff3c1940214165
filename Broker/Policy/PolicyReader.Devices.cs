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
            CheckName(member, "device", member.Name);
            DeviceDraft draft = ReadDevice(member);
            if (WhatIs(draft.Source) is { } function && drafts.Find(other => function.Equals(WhatIs(other.Source))) is { } twin)
            {
                _errors.Add(draft.Source!.At, draft.Source.KeyPath, $"{function} is device '{twin.Name}' already. A function has one name: give both sets of windows to it.");
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
        if (MapReader.Of(member.Value, _errors, "address", "id", "serial", "simulated", "windows") is not { } map)
        {
            return draft;
        }

        draft.Source = map.ExactlyOne("what the device is", "address", "id", "simulated") switch
        {
            ("address", var address) => ReadAddress(address),
            ("id", var id) => ReadIdentity(id, map.Optional("serial")),
            (_, var simulated) => ReadSimulated(simulated),
            null => null,
        };
        if (map.Optional("serial") is { } superfluous && map.Optional("id") is null)
        {
            _errors.Add(superfluous, "a serial number tells functions of one \"id\" apart. Add that, or leave this out.");
        }

        if (map.Optional("windows") is { } windows)
        {
            ReadWindows(windows, draft);
        }

        return draft;
    }

    private static object? WhatIs(DeviceSource? source) => source switch
    {
        PciSource { Address: var address } => address,
        PciIdentitySource { Identity: var identity } => identity,
        _ => null,
    };

    private PciIdentitySource? ReadIdentity(JsonItem item, JsonItem? serialItem)
    {
        ulong serial = 0;
        bool isSerial = serialItem is null || (serialItem is JsonText { Value: var number } && PciIdentity.TryParseSerial(number, out serial));
        if (!isSerial)
        {
            _errors.Add(serialItem!, $"found {serialItem!.Shown}; this is a PCI Express device serial number, such as \"00-15-17-ff-ff-ab-cd-ef\", as lspci -v shows it to root.");
        }

        if (item is not JsonText { Value: var text } || !PciIdentity.TryParse(text, out PciIdentity identity))
        {
            _errors.Add(item, $"found {item.Shown}; this is a PCI function's vendor and device, such as \"8086:0a54\", as lspci -n shows them.");
            return null;
        }

        return isSerial ? new PciIdentitySource(item.At, item.Path, identity with { Serial = serialItem is null ? null : serial }) : null;
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

    private static GeometryProblem? FindProblem(SimulatedSource source, IEnumerable<BarRange> ranges)
        => ranges.Select(range => DeviceGeometry.Check(source.Bars, range)).FirstOrDefault(problem => problem is not null);

    /// <summary>Names appear in logs, listings and command lines.</summary>
    private void CheckName(JsonMember member, string kind, string name)
    {
        if (!NameForm().IsMatch(name))
        {
            _errors.Add(member.At, member.Value.Path, $"this is no name for a {kind}: use 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit.");
        }
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\z", RegexOptions.CultureInvariant)]
    private static partial Regex NameForm();
}
