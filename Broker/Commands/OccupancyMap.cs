using BarBroker.V1;

namespace BarBroker.Commands;

/// <summary>What is in one cell of a map; where several are, the highest wins.</summary>
internal enum Occupancy
{
    /// <summary>Nobody's.</summary>
    Free,

    /// <summary>Never leased.</summary>
    Reserved,

    /// <summary>Held by leases that may overlap.</summary>
    Shared,

    /// <summary>Held by one lease.</summary>
    Exclusive,

    /// <summary>Being made or being taken back.</summary>
    Changing,

    /// <summary>Held back: the kernel could not confirm the end of a lease.</summary>
    Quarantined,
}

/// <summary>A BAR as a row of cells. A range shows in every cell that it touches, so that nothing held is too small to be seen.</summary>
internal static class OccupancyMap
{
    public static Occupancy[] Of(Bar bar, IEnumerable<HeldLease> leases, int cells)
    {
        Occupancy[] map = new Occupancy[(int)Math.Min((ulong)cells, Math.Max(1, bar.Size / Devices.BarRange.PageSize))];
        foreach (V1.Range reserved in bar.Reserved)
        {
            Paint(map, bar.Size, reserved, Occupancy.Reserved);
        }

        foreach (HeldLease held in leases.Where(held => held.Lease.Bar == bar.Bar_))
        {
            foreach (V1.Range range in held.Lease.Ranges)
            {
                Paint(map, bar.Size, range, Classify(held));
            }
        }

        return map;
    }

    private static Occupancy Classify(HeldLease held) => held.State switch
    {
        LeaseState.Active or LeaseState.Noticed => held.Lease.Exclusive ? Occupancy.Exclusive : Occupancy.Shared,
        LeaseState.Quarantined => Occupancy.Quarantined,
        _ => Occupancy.Changing,
    };

    private static void Paint(Occupancy[] map, ulong size, V1.Range range, Occupancy occupancy)
    {
        // 128 bits: a BAR may have terabytes, and they are multiplied by cells here.
        UInt128 cells = (UInt128)map.Length;
        int first = (int)(range.Offset * cells / size);
        int last = (int)(((UInt128)range.Offset + range.Length - 1) * cells / size);
        for (int cell = first; cell <= Math.Min(last, map.Length - 1); cell++)
        {
            map[cell] = (Occupancy)Math.Max((int)map[cell], (int)occupancy);
        }
    }
}
