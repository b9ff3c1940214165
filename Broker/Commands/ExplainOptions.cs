using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;

namespace BarBroker.Commands;

/// <summary>What <c>check --explain</c> is told: who asks for what.</summary>
internal sealed class ExplainOptions
{
    private const string RangeForm = "a BAR, an offset and a length, such as 2:0x1000+4KiB";

    public Option<bool> Explain { get; } = new("--explain") { Description = "Say whether a process would get a lease, by which line and why. Exit status 1: denied." };

    public Option<bool> Json { get; } = new("--json") { Description = "Explain as JSON." };

    private readonly Option<uint?> _uid = new("--uid") { Description = "The process's user id.", HelpName = "UID" };
    private readonly Option<uint?> _gid = new("--gid") { Description = "Its group id.", HelpName = "GID" };
    private readonly Option<uint[]> _groups = new("--groups")
    {
        Description = "Its supplementary groups.",
        HelpName = "GID,...",
        CustomParser = argument => ParseAll(argument, "group ids such as 100,2000", ParseGroups),
    };

    private readonly Option<string?> _unit = new("--unit") { Description = "The unit that it is in.", HelpName = "NAME" };
    private readonly Option<string?> _device = new("--device") { Description = "The device that it asks for.", HelpName = "NAME" };
    private readonly Option<string?> _window = new("--window") { Description = "The window.", HelpName = "NAME" };
    private readonly Option<BarRange[]> _ranges = new("--range")
    {
        Description = "Or a range; may be repeated.",
        HelpName = "BAR:OFFSET+LENGTH",
        CustomParser = argument => ParseAll(argument, RangeForm, ParseRange),
    };

    private readonly Option<string> _access = new("--access") { Description = "read-only or read-write.", HelpName = "ACCESS", DefaultValueFactory = _ => "read-only" };
    private readonly Option<bool> _p2p = new("--p2p") { Description = "A peer-to-peer lease." };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[Explain, _uid, _gid, _groups, _unit, _device, _window, _ranges, _access, _p2p, Json])
        {
            command.Options.Add(option);
        }

        _access.AcceptOnlyFromAmong("read-only", "read-write");
        command.Validators.Add(Validate);
    }

    public PolicyQuestion Read(ParseResult parsed)
    {
        // The highest number is nobody's group.
        PeerCredentials peer = new(parsed.GetValue(_uid)!.Value, parsed.GetValue(_gid) ?? uint.MaxValue, [.. parsed.GetValue(_groups) ?? []], 0) { Unit = parsed.GetValue(_unit) };
        string device = parsed.GetValue(_device)!;
        LeaseTarget target = parsed.GetValue(_window) is { } window ? new WindowTarget(device, window) : new RangeTarget(device, ReadRanges(parsed.GetValue(_ranges)!)!);
        return new PolicyQuestion(peer, target, parsed.GetValue(_access) == "read-write" ? LeaseAccess.ReadWrite : LeaseAccess.ReadOnly, parsed.GetValue(_p2p));
    }

    private void Validate(CommandResult result)
    {
        Option[] given = [.. ((Option[])[_uid, _gid, _groups, _unit, _device, _window, _ranges, _access, _p2p, Json]).Where(option => result.GetResult(option) is { Implicit: false })];
        if (!result.GetValue(Explain))
        {
            if (given.Length > 0)
            {
                result.AddError($"{string.Join(", ", given.Select(option => option.Name))}: this is for --explain. Add that.");
            }

            return;
        }

        foreach (Option missing in ((Option[])[_uid, _device]).Except(given))
        {
            result.AddError($"--explain takes {missing.Name} {missing.HelpName}.");
        }

        if (given.Contains(_window) == given.Contains(_ranges))
        {
            result.AddError("--explain takes either --window NAME or --range BAR:OFFSET+LENGTH.");
        }
        else if (result.GetResult(_ranges)?.Tokens.Select(token => ParseRange(token.Value)).ToArray() is { Length: > 0 } ranges
            && Array.TrueForAll(ranges, range => !range.IsEmpty)
            && ReadRanges([.. ranges.SelectMany(range => range)]) is null)
        {
            result.AddError($"--range: a lease has 1 to {RangeList.MaxCount} ranges of one BAR, which don't overlap.");
        }

        if (result.GetValue(_p2p) && result.GetValue(_access) != "read-write")
        {
            result.AddError("--p2p: such leases are read-write. Add --access read-write.");
        }
    }

    private static RangeList? ReadRanges(BarRange[] ranges)
        => RangeList.TryCreate([.. ranges], out RangeList? list, out _) == RangeListError.None ? list : null;

    private static T[] ParseAll<T>(ArgumentResult argument, string form, Func<string, ImmutableArray<T>> parse)
    {
        List<T> all = [];
        foreach (Token token in argument.Tokens)
        {
            ImmutableArray<T> parsed = parse(token.Value);
            if (parsed.IsEmpty)
            {
                argument.AddError($"found '{token.Value}'; write {form}.");
            }

            all.AddRange(parsed);
        }

        return [.. all];
    }

    private static ImmutableArray<uint> ParseGroups(string text)
    {
        List<uint> gids = [];
        foreach (string part in text.Split(','))
        {
            if (!uint.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out uint gid) || gid == uint.MaxValue)
            {
                return [];
            }

            gids.Add(gid);
        }

        return [.. gids];
    }

    private static ImmutableArray<BarRange> ParseRange(string text)
        => text.Split(':', '+') is [var bar, var offset, var length]
            && int.TryParse(bar, NumberStyles.None, CultureInfo.InvariantCulture, out int index)
            && ByteCount.TryParse(offset, out ulong first, out _)
            && ByteCount.TryParse(length, out ulong bytes, out _)
            && BarRange.TryCreate(index, first, bytes, out BarRange range) == RangeError.None
                ? [range]
                : [];
}
