namespace BarBroker.Leases;

/// <summary>A lease can't be had, or not now. The message is for the one who asked.</summary>
internal sealed class LeaseRefusedException(LeaseRefusal refusal, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>For programs.</summary>
    public LeaseRefusal Refusal { get; } = refusal;
}

/// <summary>Why a lease can't be had.</summary>
internal enum LeaseRefusal
{
    /// <summary>Another lease holds part of the range.</summary>
    RangeLeased,

    /// <summary>A limit of <see cref="LeaseLimits"/> or of the grant, or the kernel's for one user, is reached.</summary>
    TooManyLeases,

    /// <summary>The grant's limit of bytes is reached.</summary>
    TooManyBytes,

    /// <summary>Too many descriptors are on their way to clients.</summary>
    TooManyDescriptors,

    /// <summary>The kernel is out of memory or files.</summary>
    KernelExhausted,

    /// <summary>The device can't be reached at the moment.</summary>
    DeviceSuspended,

    /// <summary>The device went away.</summary>
    DeviceGone,

    /// <summary>The device has no memory of the type that the grant says.</summary>
    MemoryTypeUnavailable,

    /// <summary>The kernel does not return from a call about the device.</summary>
    DeviceStuck,

    /// <summary>The broker is shutting down.</summary>
    ShuttingDown,

    /// <summary>The connection ended in the meantime.</summary>
    ConnectionEnded,

    /// <summary>An admin revoked the lease while it was being made.</summary>
    Revoked,

    /// <summary>The connection is being watched already.</summary>
    WatchExists,

    /// <summary>The end of the lease was announced, or has begun: it can't be renewed.</summary>
    Ending,

    /// <summary>The lease was renewed as often as it may be.</summary>
    TooManyRenewals,
}
