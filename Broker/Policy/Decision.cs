using BarBroker.Devices;

namespace BarBroker.Policy;

/// <summary>What a peer asks for.</summary>
/// <param name="Device">The device's name, as the peer wrote it.</param>
internal abstract record LeaseTarget(string Device);

/// <summary>A window by its name.</summary>
internal sealed record WindowTarget(string Device, string Window) : LeaseTarget(Device)
{
    /// <inheritdoc/>
    public override string ToString() => $"window '{Window}' of device '{Device}'";
}

/// <summary>Ranges of the peer's choice.</summary>
internal sealed record RangeTarget(string Device, RangeList Ranges) : LeaseTarget(Device)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Ranges} of device '{Device}'";
}

/// <summary>What the policy says to a request.</summary>
internal abstract record Decision;

/// <summary>Yes.</summary>
/// <param name="Grant">The line that allows it.</param>
/// <param name="Device">The device.</param>
/// <param name="Window">The window's name; null for ranges of the peer's choice.</param>
/// <param name="Ranges">What may be leased.</param>
internal sealed record Granted(Grant Grant, DeviceDefinition Device, string? Window, RangeList Ranges) : Decision;

/// <summary>No. The reason is for the log: a peer must not learn from it what else there is.</summary>
internal sealed record Denied(DenialReason Reason) : Decision;

/// <summary>Why the policy denies a request.</summary>
internal enum DenialReason
{
    /// <summary>The policy has no such device.</summary>
    DeviceUnknown,

    /// <summary>No grant on the device is for this peer.</summary>
    PeerHasNoGrant,

    /// <summary>The device has no such window.</summary>
    WindowUnknown,

    /// <summary>Grants for this peer exist, none of them with this window.</summary>
    WindowNotGranted,

    /// <summary>Grants for this peer exist, none of them with areas that contain these ranges.</summary>
    RangeNotGranted,

    /// <summary>It is granted read-only, and read-write was asked for.</summary>
    AccessNotGranted,

    /// <summary>It is granted, and peer-to-peer leases of it are not.</summary>
    P2PNotGranted,
}
