namespace BarBroker.Client;

/// <summary>A lease's memory could not be accessed. The subtype says whether it ever can be again.</summary>
public abstract class BarAccessException : IOException
{
    private protected BarAccessException(ulong leaseId, string message, Exception? innerException)
        : base(message, innerException)
    {
        LeaseId = leaseId;
    }

    /// <summary>The lease whose memory it was.</summary>
    public ulong LeaseId { get; }
}

/// <summary>
/// The lease is over, and the kernel took its memory back: no access through it will work again. Acquire another lease.
/// <see cref="BarLease.EndReason"/> says why, as soon as the broker's word arrives; it may come after the kernel's.
/// </summary>
public sealed class LeaseRevokedException : BarAccessException
{
    internal LeaseRevokedException(ulong leaseId, string message, Exception? innerException = null)
        : base(leaseId, message, innerException)
    {
    }
}

/// <summary>
/// The device can't be reached at the moment (it is being reset, or sleeps); the lease stands, and its mappings with it. The same access
/// works again once the device is back. When a broker dies of a sudden, this can be the answer for a moment before
/// <see cref="LeaseRevokedException"/> is.
/// </summary>
public sealed class DeviceSuspendedException : BarAccessException
{
    internal DeviceSuspendedException(ulong leaseId, string message, Exception? innerException = null)
        : base(leaseId, message, innerException)
    {
    }
}
