using System.Collections.Frozen;
using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>The grants of a device, laid out so that a decision looks at few of them. Finds the most specific one that fits.</summary>
/// <remarks>
/// A grant stands in one bucket for each of its selectors, and one for each BAR of its areas: that of the rarest thing that its principal demands. A peer
/// that the grant is for is that thing, so of all the grants for a window only the buckets of the peer's own uid, unit and groups matter.
/// </remarks>
internal sealed class GrantIndex
{
    private readonly ImmutableArray<Window> _windows;
    private readonly ImmutableArray<Grant> _grants;
    private readonly ImmutableArray<WindowEntry> _entries;
    private readonly FrozenDictionary<string, uint> _units;
    private readonly FrozenDictionary<string, int[]> _selectorsOfWindow;
    private readonly Dictionary<BucketKey, WindowEntry[]> _windowBuckets = [];
    private readonly Dictionary<BucketKey, AreaTree> _areaBuckets = [];
    private readonly Dictionary<BucketKey, Grant[]> _allBuckets = [];
    private readonly FrozenSet<Member> _members;

    /// <param name="windows">The device's windows.</param>
    /// <param name="grants">Its grants, in the order of the file.</param>
    public GrantIndex(ImmutableArray<Window> windows, ImmutableArray<Grant> grants)
    {
        _windows = windows;
        _grants = grants;
        _units = grants.SelectMany(grant => grant.Principal.Members).OfType<UnitPrincipal>().Select(member => member.Unit).Distinct()
            .Select((unit, number) => (unit, number)).ToFrozenDictionary(entry => entry.unit, entry => (uint)entry.number, StringComparer.Ordinal);

        List<WindowSelector> selectors = [.. grants.SelectMany(grant => grant.Windows).Distinct()];
        Dictionary<WindowSelector, int> numbers = selectors.Select((selector, number) => (selector, number)).ToDictionary(entry => entry.selector, entry => entry.number);
        _entries =
        [
            .. grants.SelectMany((grant, order) => grant.Windows.Select(selector => (grant, selector, order)))
                .OrderByDescending(entry => entry.grant.Principal.Specificity)
                .ThenBy(entry => entry.selector.IsPattern)
                .ThenBy(entry => entry.selector.Windows.Length)
                .ThenBy(entry => entry.order)
                .Select((entry, rank) => new WindowEntry(entry.grant, numbers[entry.selector], rank)),
        ];
        _selectorsOfWindow = selectors.SelectMany((selector, number) => selector.Windows.Select(window => (window.Name, number)))
            .GroupBy(pair => pair.Name, pair => pair.number, StringComparer.Ordinal)
            .ToFrozenDictionary(group => group.Key, group => group.ToArray(), StringComparer.Ordinal);
        Fill(_windowBuckets, _entries, entry => entry.Grant, entry => entry.Selector, WithoutRepeats);
        Fill(_areaBuckets, grants.SelectMany((grant, order) => grant.Areas.Select(area => new AreaEntry(grant, area.Range, order))), entry => entry.Grant, entry => entry.Range.Bar, entries => new AreaTree(entries));
        Fill(_allBuckets, grants, grant => grant, _ => 0, all => [.. all]);
        _members = _windowBuckets.Keys.Concat(_areaBuckets.Keys).Concat(_allBuckets.Keys).Select(key => key.Member).ToFrozenSet();
    }

    /// <summary>Some grant is for this peer, whatever it grants.</summary>
    public bool HasGrantFor(PeerCredentials peer)
    {
        Span<Member> room = PeerMembers.CountMost(peer) <= PeerMembers.Usual ? stackalloc Member[PeerMembers.Usual] : new Member[PeerMembers.CountMost(peer)];
        foreach (Member member in MembersOf(peer, room))
        {
            if (_allBuckets.TryGetValue(new BucketKey(0, member), out Grant[]? bucket) && Array.Exists(bucket, grant => grant.Principal.Matches(peer)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The most specific grant under which <paramref name="peer"/> may lease a window; null, and what was lacking of those that name it.</summary>
    public Grant? FindForWindow(PeerCredentials peer, Window window, LeaseAccess access, bool p2p, out Shortfall shortfall)
    {
        shortfall = Shortfall.None;
        Span<Member> room = PeerMembers.CountMost(peer) <= PeerMembers.Usual ? stackalloc Member[PeerMembers.Usual] : new Member[PeerMembers.CountMost(peer)];
        ReadOnlySpan<Member> members = MembersOf(peer, room);
        Grant? best = null;
        int bestRank = int.MaxValue;
        foreach (int selector in _selectorsOfWindow.GetValueOrDefault(window.Name) ?? [])
        {
            foreach (Member member in members)
            {
                foreach (WindowEntry entry in _windowBuckets.GetValueOrDefault(new BucketKey(selector, member)) ?? [])
                {
                    if (entry.Rank >= bestRank)
                    {
                        break;
                    }

                    if (entry.Grant.Principal.Matches(peer) && Allows(entry.Grant, access, p2p, ref shortfall))
                    {
                        best = entry.Grant;
                        bestRank = entry.Rank;
                        break;
                    }
                }
            }
        }

        return best;
    }

    /// <summary>The most specific grant whose areas contain all of <paramref name="ranges"/>; null, and what was lacking of those whose do.</summary>
    public Grant? FindForRanges(PeerCredentials peer, RangeList ranges, LeaseAccess access, bool p2p, out Shortfall shortfall)
    {
        Span<Member> room = PeerMembers.CountMost(peer) <= PeerMembers.Usual ? stackalloc Member[PeerMembers.Usual] : new Member[PeerMembers.CountMost(peer)];
        AreaSearch search = new(peer, ranges, access, p2p);
        foreach (Member member in MembersOf(peer, room))
        {
            _areaBuckets.GetValueOrDefault(new BucketKey(ranges.Bar, member))?.Visit(ref search);
        }

        shortfall = search.Shortfall;
        return search.Best;
    }

    /// <summary>
    /// What <paramref name="peer"/> may lease. A window is described as it would be leased with the most access that there is for it, and not
    /// peer-to-peer.
    /// </summary>
    public PeerView ViewFor(PeerCredentials peer)
    {
        HashSet<Grant> granted = new(_grants.Where(grant => grant.Principal.Matches(peer)), ReferenceEqualityComparer.Instance);
        if (granted.Count == 0)
        {
            return PeerView.Empty;
        }

        Dictionary<int, Offer> offers = [];
        foreach (WindowEntry entry in _entries.Where(entry => granted.Contains(entry.Grant)))
        {
            offers[entry.Selector] = offers.TryGetValue(entry.Selector, out Offer offer) ? offer.With(entry) : new Offer(entry, entry.Grant.P2P);
        }

        ImmutableArray<(Window, Grant)>.Builder windows = ImmutableArray.CreateBuilder<(Window, Grant)>();
        foreach (Window window in _windows)
        {
            Offer? best = null;
            foreach (int selector in _selectorsOfWindow.GetValueOrDefault(window.Name) ?? [])
            {
                if (offers.TryGetValue(selector, out Offer offer))
                {
                    best = best?.With(offer) ?? offer;
                }
            }

            if (best is { Entry.Grant: var grant, P2P: var p2p })
            {
                windows.Add((window, grant.P2P == p2p ? grant : grant with { P2P = p2p }));
            }
        }

        return new PeerView(windows.DrainToImmutable(), [.. _grants.Where(granted.Contains).SelectMany(grant => grant.Areas, (grant, area) => (area, grant))]);
    }

    private static bool Allows(Grant grant, LeaseAccess access, bool p2p, ref Shortfall shortfall)
    {
        Shortfall lacking = !grant.Allows(access) ? Shortfall.Access : p2p && !grant.P2P ? Shortfall.P2P : Shortfall.None;
        shortfall |= lacking;
        return lacking == Shortfall.None;
    }

    /// <summary>What of a peer there are buckets of.</summary>
    private ReadOnlySpan<Member> MembersOf(PeerCredentials peer, Span<Member> room)
        => PeerMembers.Find(peer, peer.Unit is { } unit && _units.TryGetValue(unit, out uint number) ? number : null, _members, room);

    private void Fill<TItem, TBucket>(
        Dictionary<BucketKey, TBucket> buckets, IEnumerable<TItem> items, Func<TItem, Grant> grantOf, Func<TItem, int> slotOf, Func<List<TItem>, TBucket> make)
    {
        foreach (IGrouping<int, TItem> slot in items.GroupBy(slotOf))
        {
            Dictionary<BucketKey, int> counts = [];
            foreach (BucketKey key in slot.SelectMany(item => grantOf(item).Principal.Members, (_, member) => KeyOf(member, slot.Key)))
            {
                counts[key] = counts.GetValueOrDefault(key) + 1;
            }

            foreach (IGrouping<BucketKey, TItem> bucket in slot.GroupBy(item => grantOf(item).Principal.Members.Select(member => KeyOf(member, slot.Key)).MinBy(key => counts[key])))
            {
                buckets.Add(bucket.Key, make([.. bucket]));
            }
        }
    }

    private BucketKey KeyOf(Principal member, int slot) => member switch
    {
        UserPrincipal user => new BucketKey(slot, new Member(MemberKind.User, user.Uid)),
        UnitPrincipal unit => new BucketKey(slot, new Member(MemberKind.Unit, _units[unit.Unit])),
        GroupPrincipal group => new BucketKey(slot, new Member(MemberKind.Group, group.Gid)),
        _ => throw new InvalidOperationException($"{member} has no key."),
    };

    /// <summary>Of grants for one principal with one access, only the first is ever found.</summary>
    private static WindowEntry[] WithoutRepeats(List<WindowEntry> entries)
        => [.. entries.DistinctBy(entry => (entry.Grant.Principal, entry.Grant.Access, entry.Grant.P2P))];

    /// <summary>A grant by one of its selectors. Of those that fit, the one with the lowest rank decides.</summary>
    private readonly record struct WindowEntry(Grant Grant, int Selector, int Rank);

    /// <summary>The best entry with the most access, and whether any allows peer-to-peer.</summary>
    private readonly record struct Offer(WindowEntry Entry, bool P2P)
    {
        public Offer With(WindowEntry other) => With(new Offer(other, other.Grant.P2P));

        public Offer With(Offer other)
        {
            bool isMore = (other.Entry.Grant.Access == LeaseAccess.ReadWrite, -other.Entry.Rank).CompareTo((Entry.Grant.Access == LeaseAccess.ReadWrite, -Entry.Rank)) > 0;
            return new Offer(isMore ? other.Entry : Entry, P2P || other.P2P);
        }
    }
}

/// <summary>What grants lacked that otherwise fit a request.</summary>
[Flags]
internal enum Shortfall
{
    None = 0,

    /// <summary>It is granted read-only.</summary>
    Access = 1,

    /// <summary>It is granted with that access, but not peer-to-peer.</summary>
    P2P = 2,
}
