namespace BarBroker.Devices;

/// <summary>How a device is. Never changes itself: a device has another one after every change.</summary>
/// <param name="IsGone">It was unplugged or unbound.</param>
/// <param name="StuckIn">The call into the kernel that does not return; null when none is overdue.</param>
/// <param name="Suspended">Why its memory can't be reached for a while; null while it can.</param>
public sealed record DeviceCondition(bool IsGone = false, string? StuckIn = null, SuspendReason? Suspended = null)
{
    /// <summary>Leases of it can be had and used.</summary>
    public static DeviceCondition Serving { get; } = new();

    /// <summary>All of it in a word: what hangs comes first, since it needs somebody's attention.</summary>
    public DeviceState State => this switch
    {
        { StuckIn: not null } => DeviceState.Stuck,
        { IsGone: true } => DeviceState.Gone,
        { Suspended: not null } => DeviceState.Suspended,
        _ => DeviceState.Serving,
    };
}

/// <summary>A <see cref="DeviceCondition"/> in a word.</summary>
public enum DeviceState
{
    /// <summary>Leases of it can be had and used.</summary>
    Serving,

    /// <summary>Its memory can't be reached for a while; leases stand.</summary>
    Suspended,

    /// <summary>A call into the kernel about it does not return.</summary>
    Stuck,

    /// <summary>It was unplugged or unbound.</summary>
    Gone,
}

/// <summary>Why a device's memory can't be reached for a while.</summary>
public enum SuspendReason
{
    /// <summary>Its memory decode was turned off.</summary>
    MemoryOff,

    /// <summary>It was put into D3hot.</summary>
    LowPower,

    /// <summary>It is being reset.</summary>
    Reset,
}

/// <summary>A device's condition changed.</summary>
/// <param name="Device">Whose.</param>
/// <param name="Before">What it was.</param>
/// <param name="Now">What it is.</param>
/// <param name="WasReset">It was reset while it was suspended, or may have been: what its registers held may be gone.</param>
public sealed record DeviceChange(IBarDevice Device, DeviceCondition Before, DeviceCondition Now, bool WasReset);
