using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>What somebody may ask the policy for.</summary>
internal sealed record PolicyQuestion(PeerCredentials Peer, LeaseTarget Target, LeaseAccess Access, bool P2P);

/// <summary>A grant's part in a decision.</summary>
/// <param name="Grant">The grant.</param>
/// <param name="Reasons">Why it decides; or, each for itself enough, why it doesn't.</param>
internal sealed record GrantVerdict(Grant Grant, ImmutableArray<string> Reasons);

/// <summary>A decision, and why it is not another one.</summary>
/// <param name="Decision">As <see cref="BrokerPolicy.Decide"/> has it.</param>
/// <param name="Summary">In a sentence.</param>
/// <param name="Deciding">The grant that decides; null where none does.</param>
/// <param name="Others">Those that fit but come later; where none fits, those that come near, the nearest first.</param>
internal sealed record Explanation(Decision Decision, string Summary, GrantVerdict? Deciding, ImmutableArray<GrantVerdict> Others)
{
    public static Explanation Of(BrokerPolicy policy, PolicyQuestion question)
    {
        Decision decision = policy.Decide(question.Peer, question.Target, question.Access, question.P2P);
        string request = $"{Describe(question.Peer)}: {(question.Access == LeaseAccess.ReadWrite ? "read-write" : "read-only")}{(question.P2P ? " peer-to-peer" : "")} lease of {question.Target}";
        if (decision is Granted { Grant: var winner, Device: var device })
        {
            ImmutableArray<GrantVerdict> later =
            [
                .. device.Grants.Where(grant => grant != winner && Lacking(grant, device, question).IsEmpty)
                    .Select(grant => new GrantVerdict(grant, [WhyLater(grant, winner, device, question)])),
            ];
            return new Explanation(decision, $"Granted to {request}.", new GrantVerdict(winner, Merits(winner, device, question)), later);
        }

        DenialReason reason = ((Denied)decision).Reason;
        return new Explanation(decision, $"Denied to {request}: {Describe(reason, policy, question)}", null, Near(policy.FindDevice(question.Target.Device), question));
    }

    /// <summary>Those that are for the peer, or would let it have what it asks for.</summary>
    private static ImmutableArray<GrantVerdict> Near(DeviceDefinition? device, PolicyQuestion question) => device is null
        ? []
        :
        [
            .. device.Grants.Where(grant => grant.Principal.Matches(question.Peer) || Fits(grant, device, question.Target))
                .Select(grant => new GrantVerdict(grant, Lacking(grant, device, question)))
                .OrderBy(verdict => verdict.Reasons.Length),
        ];

    private static bool Fits(Grant grant, DeviceDefinition device, LeaseTarget target) => target switch
    {
        RangeTarget { Ranges: var ranges } => grant.SizeOfAreasFor(ranges) is not null,
        _ => device.FindWindow(((WindowTarget)target).Window) is { } window && grant.SelectorFor(window) is not null,
    };

    private static ImmutableArray<string> Merits(Grant grant, DeviceDefinition device, PolicyQuestion question)
    {
        string what = question.Target switch
        {
            RangeTarget => "its areas contain the ranges",
            _ => grant.SelectorFor(device.FindWindow(((WindowTarget)question.Target).Window)!) is { IsPattern: true, Text: var pattern } ? $"its pattern '{pattern}' fits the window" : "it names the window",
        };
        return [$"it is for {grant.Principal}", what, $"it allows {Describe(grant)}"];
    }

    private static ImmutableArray<string> Lacking(Grant grant, DeviceDefinition device, PolicyQuestion question)
    {
        List<string> lacking = [.. grant.Principal.Members.Where(member => !member.Matches(question.Peer)).Select(member => $"it is for {grant.Principal}, and the process {DescribeLack(member, question.Peer)}")];
        if (!Fits(grant, device, question.Target))
        {
            lacking.Add(question.Target switch
            {
                WindowTarget { Window: var window } when grant.Windows.IsEmpty => $"it has areas, and no windows such as '{window}'",
                WindowTarget { Window: var window } => $"its windows are {List(grant.Windows.Select(selector => selector.Text))}, not '{window}'",
                _ when grant.Areas.IsEmpty => "it has windows, and no areas in which a process chooses ranges",
                _ => $"its areas are {List(grant.Areas.Select(area => area.Range.ToString()))}, which don't contain all that is asked for",
            });
        }

        if (!grant.Allows(question.Access))
        {
            lacking.Add("it is read-only");
        }

        if (question.P2P && !grant.P2P)
        {
            lacking.Add("it doesn't say p2p");
        }

        return [.. lacking];
    }

    private static string WhyLater(Grant grant, Grant winner, DeviceDefinition device, PolicyQuestion question)
    {
        if (grant.Principal.Specificity != winner.Principal.Specificity)
        {
            return $"it fits, too, and {grant.Principal} is less specific than {winner.Principal}";
        }

        if (question.Target is RangeTarget { Ranges: var ranges })
        {
            return grant.SizeOfAreasFor(ranges) > winner.SizeOfAreasFor(ranges)
                ? $"it fits, too, and its areas are larger: 0x{grant.SizeOfAreasFor(ranges):x} bytes, not 0x{winner.SizeOfAreasFor(ranges):x}"
                : "it fits, too, and comes later in the file";
        }

        Window window = device.FindWindow(((WindowTarget)question.Target).Window)!;
        WindowSelector own = grant.SelectorFor(window)!;
        WindowSelector others = winner.SelectorFor(window)!;
        return (own.IsPattern, others.IsPattern) switch
        {
            (true, false) => $"it fits, too, and has a pattern, '{own.Text}', not the window's name",
            (true, true) when own.Windows.Length > others.Windows.Length => $"it fits, too, and its pattern '{own.Text}' fits more windows: {own.Windows.Length}, not {others.Windows.Length}",
            _ => "it fits, too, and comes later in the file",
        };
    }

    private static string Describe(DenialReason reason, BrokerPolicy policy, PolicyQuestion question) => reason switch
    {
        DenialReason.DeviceUnknown => $"the policy has no device of that name. {NearestName.Suggest(question.Target.Device, [.. policy.Devices.Select(device => device.Name)])}",
        DenialReason.WindowUnknown => $"the device has no window of that name. {NearestName.Suggest(((WindowTarget)question.Target).Window, [.. policy.FindDevice(question.Target.Device)!.Windows.Select(window => window.Name)])}",
        DenialReason.PeerHasNoGrant => "no grant on the device is for this process.",
        DenialReason.WindowNotGranted => "no grant for this process selects the window.",
        DenialReason.RangeNotGranted => "no grant for this process has areas that contain what is asked for.",
        DenialReason.AccessNotGranted => "it is granted read-only.",
        DenialReason.P2PNotGranted => "it is granted, but not peer-to-peer.",
        _ => throw new InvalidOperationException($"{reason} has no description."),
    };

    private static string Describe(Grant grant)
        => $"{(grant.Access == LeaseAccess.ReadWrite ? "read-write" : "read-only")} {(grant.Exclusive ? "exclusive" : "shared")} leases";

    private static string Describe(PeerCredentials peer)
    {
        ImmutableArray<uint> gids = [.. GidsOf(peer)];
        string groups = gids.IsEmpty ? "no groups" : $"{(gids.Length == 1 ? "gid" : "gids")} {string.Join(", ", gids)}";
        return $"uid {peer.Uid} with {groups}, {(peer.Unit is null ? "in no unit" : $"in unit {peer.Unit}")}";
    }

    private static string DescribeLack(Principal member, PeerCredentials peer) => member switch
    {
        UserPrincipal => $"has uid {peer.Uid}",
        UnitPrincipal => peer.Unit is null ? "is in no unit" : $"is in unit {peer.Unit}",
        GroupPrincipal group => $"is not in gid {group.Gid}",
        _ => throw new InvalidOperationException($"{member} has no description."),
    };

    /// <summary>The highest number is no group: whoever asks has named none.</summary>
    private static IEnumerable<uint> GidsOf(PeerCredentials peer) => peer.Groups.Prepend(peer.Gid).Where(gid => gid != uint.MaxValue).Distinct();

    private static string List(IEnumerable<string> items)
    {
        const int Most = 8;
        string[] all = [.. items];
        return all.Length <= Most ? string.Join(", ", all) : $"{string.Join(", ", all[..Most])} and {all.Length - Most} more";
    }
}
