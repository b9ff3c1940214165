using System.Collections.Immutable;
using BarBroker.V1;

namespace BarBroker.Client.Leases;

/// <summary>What a lease is; it never changes.</summary>
/// <remarks>When it expires does: that stands in <see cref="BarLease.ExpireTime"/>.</remarks>
internal sealed record LeaseInfo(
    ulong Id,
    string Device,
    string? Window,
    int Bar,
    ImmutableArray<BarRange> Ranges,
    LeaseAccess Access,
    bool Exclusive,
    MemoryType MemoryType,
    bool P2P)
{
    /// <summary>Bytes in all ranges together.</summary>
    public ulong Length { get; } = Ranges.Aggregate(0UL, (sum, range) => checked(sum + range.Length));

    /// <summary>From the wire.</summary>
    /// <exception cref="FormatException">It can't be right.</exception>
    public static LeaseInfo Parse(Lease lease) => new(
        lease.LeaseId,
        lease.Device,
        lease.Window.Length == 0 ? null : lease.Window,
        WireTypes.ParseBar(lease.Bar),
        WireTypes.ParseRanges(lease.Ranges),
        WireTypes.ParseAccess(lease.Access),
        lease.Exclusive,
        WireTypes.ParseMemoryType(lease.MemoryType),
        lease.P2P);

    /// <summary>For people.</summary>
    public override string ToString() =>
        Window is null
            ? $"lease {Id} ({Device}, BAR {Bar}, offset 0x{Ranges[0].Offset:x}, {Length} bytes{(Ranges.Length > 1 ? $" in {Ranges.Length} ranges" : "")})"
            : $"lease {Id} ({Device}, window '{Window}')";
}
