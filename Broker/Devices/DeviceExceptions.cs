using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>The device can't be reached for a while: memory decode is off, it is in reset or in low power.</summary>
public sealed class DeviceSuspendedException(string device, Exception? innerException = null)
    : Exception($"Device '{device}' is suspended: its memory can't be reached until it resumes.", innerException);

/// <summary>The device went away.</summary>
public sealed class DeviceGoneException(string device, Exception? innerException = null)
    : Exception($"Device '{device}' is gone: it was unplugged, unbound from vfio-pci, or closed.", innerException);

/// <summary>The device can't be mapped in the way that was asked for.</summary>
public sealed class MemoryTypeUnavailableException(string device, string cause, Exception? innerException = null)
    : Exception($"Device '{device}' can't be mapped write-combining: {cause}", innerException);

/// <summary>The one who answers for the lease has as many of the device as the kernel lets one have.</summary>
public sealed class LeaseQuotaException(string device, uint holder, Exception? innerException = null)
    : Exception(
        $"The processes of uid {holder} have as many leases of device '{device}' as the kernel lets one user have, those included that are over and that some process still has open or mapped. "
        + "Close the descriptors and mappings of leases that are over, or release some.",
        innerException);

/// <summary>The kernel did not confirm in time that leases have ended.</summary>
public sealed class RevocationUnconfirmedException(string device, ImmutableArray<LeaseId> unconfirmed, Exception? innerException = null)
    : Exception($"Device '{device}': the kernel did not confirm that the leases have ended; their ranges stay quarantined.", innerException)
{
    /// <summary>The leases in question. All others that were to end with them have ended.</summary>
    public ImmutableArray<LeaseId> Unconfirmed { get; } = unconfirmed;
}
