using System.Collections.Immutable;

namespace BarBroker.Client;

/// <summary>A device of which the broker's policy grants something to this process.</summary>
/// <param name="Name">The device's name in the policy.</param>
/// <param name="Windows">Windows that can be leased by name.</param>
/// <param name="Areas">Areas in which any ranges can be leased.</param>
public sealed record GrantedDevice(string Name, ImmutableArray<GrantedWindow> Windows, ImmutableArray<GrantedArea> Areas);

/// <summary>A window that can be leased.</summary>
/// <param name="Name">The window's name in the policy.</param>
/// <param name="Bar">Base address register, 0 to 5.</param>
/// <param name="Ranges">What a lease of it maps, one range after the other.</param>
/// <param name="Access">The most that the grant allows.</param>
/// <param name="Exclusive">No other lease overlaps one of these while it lives.</param>
/// <param name="MemoryType">What a mapping gets; <see cref="MemoryType.Unknown"/> when the broker's machine does not have what the grant says: it refuses such leases.</param>
/// <param name="P2P">Peer-to-peer leases may be asked for.</param>
public sealed record GrantedWindow(
    string Name, int Bar, ImmutableArray<BarRange> Ranges, LeaseAccess Access, bool Exclusive, MemoryType MemoryType, bool P2P);

/// <summary>An area in which any ranges can be leased.</summary>
/// <param name="Bar">Base address register, 0 to 5.</param>
/// <param name="Range">Where a leased range must lie.</param>
/// <param name="Access">The most that the grant allows.</param>
/// <param name="Exclusive">No other lease overlaps one of these while it lives.</param>
/// <param name="MemoryType">As of a window.</param>
/// <param name="P2P">Peer-to-peer leases may be asked for.</param>
public sealed record GrantedArea(int Bar, BarRange Range, LeaseAccess Access, bool Exclusive, MemoryType MemoryType, bool P2P);
