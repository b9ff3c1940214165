namespace BarBroker.Client;

/// <summary>A time in which a device can't be reached. Its leases stand; accesses throw <see cref="DeviceSuspendedException"/>.</summary>
/// <param name="Reason">Why, for programs.</param>
/// <param name="Message">Why, in the broker's words, for people.</param>
public sealed record DeviceSuspension(DeviceSuspendReason Reason, string Message);

/// <summary>Why a device can't be reached for a while.</summary>
public enum DeviceSuspendReason
{
    /// <summary>A reason that this version of the SDK does not know.</summary>
    Unknown = 0,

    /// <summary>An administrator turned its memory decode off.</summary>
    MemoryOff = 1,

    /// <summary>An administrator put it into D3hot.</summary>
    LowPower = 2,

    /// <summary>It is being reset.</summary>
    Reset = 3,
}

/// <summary>Of <see cref="BarLease.DeviceSuspended"/>.</summary>
public sealed class DeviceSuspendedEventArgs : EventArgs
{
    internal DeviceSuspendedEventArgs(DeviceSuspension suspension) => Suspension = suspension;

    /// <summary>What began.</summary>
    public DeviceSuspension Suspension { get; }
}

/// <summary>Of <see cref="BarLease.DeviceResumed"/>.</summary>
public sealed class DeviceResumedEventArgs : EventArgs
{
    internal DeviceResumedEventArgs(bool wasReset) => WasReset = wasReset;

    /// <summary>The device was reset, or may have been: what its registers held may be gone.</summary>
    public bool WasReset { get; }
}
