using System.Collections.Immutable;
using BarBroker.Devices;

namespace BarBroker.Policy;

/// <summary>A line of the policy: who may lease what of one device, and how.</summary>
/// <param name="Principal">Who.</param>
/// <param name="Windows">Windows that may be leased whole, by name or pattern.</param>
/// <param name="Areas">Areas inside which any range may be leased.</param>
/// <param name="Access">The most that a lease may have.</param>
/// <param name="Exclusive">No other lease may overlap one that is made under this grant.</param>
/// <param name="Memory">The memory type of every lease: uncached or write-combining.</param>
/// <param name="P2P">Peer-to-peer leases may be asked for. Read-write grants only.</param>
/// <param name="Limits">How much one user may hold under it, and for how long.</param>
/// <param name="At">Where the file says so.</param>
/// <param name="KeyPath">The grant's key, for the log.</param>
internal sealed record Grant(
    Principal Principal,
    ImmutableArray<WindowSelector> Windows,
    ImmutableArray<Area> Areas,
    LeaseAccess Access,
    bool Exclusive,
    MemoryType Memory,
    bool P2P,
    GrantLimits Limits,
    FilePosition At,
    string KeyPath)
{
    /// <summary>A lease with <paramref name="access"/> may be made.</summary>
    public bool Allows(LeaseAccess access) => Access == LeaseAccess.ReadWrite || access == LeaseAccess.ReadOnly;

    /// <summary>What selects the window most closely, a name or a pattern; null when nothing does.</summary>
    public WindowSelector? SelectorFor(Window window)
        => Windows.Where(selector => selector.Selects(window.Name)).MinBy(selector => (selector.IsPattern, selector.Windows.Length));

    /// <summary>What a lease with <paramref name="access"/> is to be like.</summary>
    public ExportOptions ToOptions(LeaseAccess access, bool p2p) => new(access, Memory, p2p);

    /// <summary>
    /// How large the areas are together that a lease of these ranges takes, for each range the smallest that contains it; null when some range is in none.
    /// </summary>
    public UInt128? SizeOfAreasFor(RangeList ranges)
    {
        UInt128 size = 0;
        List<BarRange> taken = [];
        foreach (BarRange range in ranges.Items)
        {
            BarRange? smallest = null;
            foreach (Area area in Areas)
            {
                if (area.Range.Contains(range) && (smallest is null || area.Range.Length < smallest.Value.Length))
                {
                    smallest = area.Range;
                }
            }

            if (smallest is not { } found)
            {
                return null;
            }

            if (!taken.Contains(found))
            {
                taken.Add(found);
                size += found.Length;
            }
        }

        return size;
    }
}
