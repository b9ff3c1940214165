using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>An area of a grant.</summary>
/// <param name="Grant">The grant.</param>
/// <param name="Range">The area.</param>
/// <param name="Order">The grant's place in the file.</param>
internal readonly record struct AreaEntry(Grant Grant, BarRange Range, int Order);

/// <summary>Areas of one BAR, in which those that contain a range are found without looking at all others.</summary>
internal sealed class AreaTree
{
    // A balanced tree in an array: the root of a stretch is its middle.
    private readonly AreaEntry[] _entries;
    private readonly ulong[] _furthestEnds;

    public AreaTree(List<AreaEntry> entries)
    {
        _entries = [.. entries.OrderBy(entry => entry.Range.Offset)];
        _furthestEnds = new ulong[_entries.Length];
        Measure(0, _entries.Length);
    }

    /// <summary>Shows the search all areas that contain its first range.</summary>
    public void Visit(ref AreaSearch search) => Visit(ref search, 0, _entries.Length);

    private void Visit(ref AreaSearch search, int start, int end)
    {
        int middle = (start + end) / 2;
        if (start >= end || _furthestEnds[middle] < search.First.End)
        {
            return;
        }

        Visit(ref search, start, middle);
        if (_entries[middle].Range.Offset <= search.First.Offset)
        {
            search.Consider(_entries[middle]);
            Visit(ref search, middle + 1, end);
        }
    }

    private ulong Measure(int start, int end)
    {
        if (start >= end)
        {
            return 0;
        }

        int middle = (start + end) / 2;
        ulong below = Math.Max(Measure(start, middle), Measure(middle + 1, end));
        return _furthestEnds[middle] = Math.Max(below, _entries[middle].Range.End);
    }
}

/// <summary>Looks among areas for the most specific grant of ranges.</summary>
internal ref struct AreaSearch(PeerCredentials peer, RangeList ranges, LeaseAccess access, bool p2p)
{
    private (int Specificity, UInt128 Size, int Order) _best;

    public readonly BarRange First => ranges.Items[0];

    public Grant? Best { get; private set; }

    public Shortfall Shortfall { get; private set; }

    public void Consider(AreaEntry entry)
    {
        Grant grant = entry.Grant;
        if (!entry.Range.Contains(First) || !grant.Principal.Matches(peer))
        {
            return;
        }

        UInt128? size = ranges.Count == 1 ? entry.Range.Length : grant.SizeOfAreasFor(ranges);
        if (size is null)
        {
            return;
        }

        if (!grant.Allows(access))
        {
            Shortfall |= Shortfall.Access;
        }
        else if (p2p && !grant.P2P)
        {
            Shortfall |= Shortfall.P2P;
        }
        else if (Best is null || (-grant.Principal.Specificity, size.Value, entry.Order).CompareTo((-_best.Specificity, _best.Size, _best.Order)) < 0)
        {
            Best = grant;
            _best = (grant.Principal.Specificity, size.Value, entry.Order);
        }
    }
}
