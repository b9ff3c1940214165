using System.Collections.Immutable;
using BarBroker.Devices;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    /// <summary>A list of them still fits into one message of gRPC's usual 4 MiB; a BAR of 64 MiB has as many pages.</summary>
    internal const int MostWindows = 16384;

    private int _windowCount;

    private void ReadWindows(JsonItem item, DeviceDraft draft)
    {
        foreach (JsonMember member in MapReader.NamedMembers(item, "windows by name", _errors))
        {
            if (SeriesName.IsMeant(member.Name))
            {
                ReadSeries(member, draft);
            }
            else
            {
                CheckName(member, "window", member.Name);
                RangeList? ranges = ReadWindow(member);
                if (HasRoomFor(member, 1))
                {
                    AddWindow(draft, member, member.Name, ranges is null ? null : new Window(member.Name, ranges, member.At, member.Value.Path));
                }
            }
        }

        // A real device's BARs are known when it is opened; a simulated one's stand here.
        if (draft.Source is SimulatedSource simulated)
        {
            foreach (Window window in draft.Windows.Values.Select(entry => entry.Window).OfType<Window>())
            {
                if (FindProblem(simulated, window.Ranges.Items) is { } problem)
                {
                    _errors.Add(window, problem.Message);
                }
            }
        }
    }

    private RangeList? ReadWindow(JsonMember member)
    {
        if (MapReader.Of(member.Value, _errors, "bar", "offset", "length", "ranges", "stride") is not { } map)
        {
            return null;
        }

        if (map.Optional("stride") is { } stride)
        {
            _errors.Add(stride, "a stride is for a series of windows, which has the numbers in its name, as in \"doorbell-{0..31}\". Leave it out of a single one.");
        }

        return ReadShape(map, member.Value);
    }

    /// <summary>Windows of one shape, each a stride further into the BAR than the one before.</summary>
    private void ReadSeries(JsonMember member, DeviceDraft draft)
    {
        if (SeriesName.TryParse(member.Name, out SeriesName? series, out string problem))
        {
            // No number is longer than the last.
            CheckName(member, "series of windows", series[series.Count - 1]);
        }
        else
        {
            _errors.Add(member.At, member.Value.Path, problem);
        }

        if (MapReader.Of(member.Value, _errors, "bar", "offset", "length", "ranges", "stride") is not { } map)
        {
            return;
        }

        RangeList? shape = ReadShape(map, member.Value);
        JsonItem? strideItem = map.Required("stride", "\"4KiB\"");
        ulong? stride = ReadPages(strideItem, canBeZero: false);
        if (series is null || !HasRoomFor(member, series.Count))
        {
            return;
        }

        bool keepsApart = shape is not null && stride is not null && CheckStride(strideItem!, shape, stride.Value, series);
        for (int i = 0; i < series.Count; i++)
        {
            RangeList? ranges = keepsApart ? Shift(shape!, (UInt128)stride!.Value * (uint)i) : null;
            if (keepsApart && ranges is null)
            {
                _errors.Add(strideItem!, $"at a stride of 0x{stride:x}, {series[i]} lies beyond what 64 bits hold.");
                keepsApart = false;
            }

            AddWindow(draft, member, series[i], ranges is null ? null : new Window(series[i], ranges, member.At, member.Value.Path, IsOfSeries: true));
        }
    }

    private bool CheckStride(JsonItem item, RangeList shape, ulong stride, SeriesName series)
    {
        ulong start = shape.Items.Min(range => range.Offset);
        ulong span = shape.Items.Max(range => range.Offset + range.Length) - start;

        // All have one shape: what the first has to do with one of them, each has to do with one of those after it.
        for (int i = 1; i < series.Count && (UInt128)stride * (uint)i < span; i++)
        {
            if (Shift(shape, (UInt128)stride * (uint)i) is { } shifted && shifted.Items.Any(range => shape.Items.Any(range.Overlaps)))
            {
                _errors.Add(item, $"found {item.Shown}; at this stride {series[i]} overlaps {series[0]}. One of 0x{span:x} or more keeps them apart.");
                return false;
            }
        }

        return true;
    }

    /// <summary>Null when that is beyond what 64 bits hold.</summary>
    private static RangeList? Shift(RangeList ranges, UInt128 distance)
    {
        List<BarRange> shifted = [];
        foreach (BarRange range in ranges.Items)
        {
            UInt128 offset = range.Offset + distance;
            if (offset > ulong.MaxValue || BarRange.TryCreate(range.Bar, (ulong)offset, range.Length, out BarRange moved) != RangeError.None)
            {
                return null;
            }

            shifted.Add(moved);
        }

        return RangeList.TryCreate([.. shifted], out RangeList? list, out _) == RangeListError.None ? list : null;
    }

    /// <summary>False, and an error with the first, for windows beyond <see cref="MostWindows"/>.</summary>
    private bool HasRoomFor(JsonMember member, int count)
    {
        bool hadRoom = _windowCount <= MostWindows;
        _windowCount = (int)Math.Min(int.MaxValue, (long)_windowCount + count);
        if (hadRoom && _windowCount > MostWindows)
        {
            _errors.Add(member.At, member.Value.Path, $"the file has {_windowCount} windows up to here; all its devices together have at most {MostWindows}.");
        }

        return _windowCount <= MostWindows;
    }

    private void AddWindow(DeviceDraft draft, JsonMember member, string name, Window? window)
    {
        if (!draft.Windows.TryAdd(name, (member.At, window)))
        {
            _errors.Add(member.At, member.Value.Path, $"'{name}' is a window already, in line {draft.Windows[name].At.Line}. Leave one.");
        }
    }

    /// <summary>The ranges of a window, or of the first of a series.</summary>
    private RangeList? ReadShape(MapReader map, JsonItem item)
        => map.Optional("ranges") is { } several
            ? ReadRanges(map, several)
            : ReadRange(map, item) is { } range ? RangeList.Of(range) : null;

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
}
