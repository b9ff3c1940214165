using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Leases;

/// <summary>A lease as it was at one moment.</summary>
/// <param name="Id">The handle.</param>
/// <param name="Device">The device's name.</param>
/// <param name="Window">The window's name; null for ranges of the client's choice.</param>
/// <param name="Ranges">What is leased.</param>
/// <param name="Access">With which access.</param>
/// <param name="P2P">The drivers of other devices can attach to it.</param>
/// <param name="Exclusive">No other lease overlaps it.</param>
/// <param name="MemoryType">Null while it is being made.</param>
/// <param name="State">Where it is in its life.</param>
/// <param name="Peer">Who holds it.</param>
/// <param name="ConnectionId">The connection that it belongs to.</param>
/// <param name="AcquireTime">When it was asked for.</param>
/// <param name="ExpireTime">When it ends by itself, by the wall clock of the moment; null: never.</param>
/// <param name="Ending">Why it will, of one whose end was announced.</param>
internal sealed record LeaseInfo(
    LeaseId Id,
    string Device,
    string? Window,
    RangeList Ranges,
    LeaseAccess Access,
    bool P2P,
    bool Exclusive,
    MemoryType? MemoryType,
    LeaseState State,
    PeerCredentials Peer,
    ulong ConnectionId,
    DateTimeOffset AcquireTime,
    DateTimeOffset? ExpireTime = null,
    EndReason? Ending = null);

/// <summary>A new lease, and how its descriptor travels.</summary>
/// <param name="Lease">The lease.</param>
/// <param name="DescriptorSerial">The descriptor's number in the connection's sequence.</param>
/// <param name="Inode">The descriptor's inode.</param>
internal sealed record AcquiredLease(LeaseInfo Lease, ulong DescriptorSerial, ulong Inode);
