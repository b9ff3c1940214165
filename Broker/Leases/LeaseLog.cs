using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>The lease table's log. Ids are stable.</summary>
internal static partial class LeaseLog
{
    internal const int ExportFailedId = 1005;

    [LoggerMessage(1001, LogLevel.Information, "Lease {Lease} of {Ranges}, device '{Device}', {Access}, {MemoryType}, peer-to-peer {P2P}: acquired by uid {Uid}, pid {Pid}, connection {Connection}", EventName = "LeaseAcquired")]
    public static partial void Acquired(ILogger logger, LeaseId lease, RangeList ranges, string device, LeaseAccess access, MemoryType memoryType, bool p2p, uint uid, int pid, ulong connection);

    [LoggerMessage(1002, LogLevel.Information, "Lease {Lease} of {Ranges}, device '{Device}': ended, {Reason}", EventName = "LeaseEnded")]
    public static partial void Ended(ILogger logger, LeaseId lease, RangeList ranges, string device, EndReason reason);

    [LoggerMessage(1003, LogLevel.Critical, "Lease {Lease} of {Ranges}, device '{Device}' (uid {Uid}, pid {Pid}): the kernel could not confirm its end ({Reason}). The range stays quarantined until a later revoke of the lease succeeds", EventName = "LeaseQuarantined")]
    public static partial void Quarantined(ILogger logger, LeaseId lease, RangeList ranges, string device, uint uid, int pid, EndReason reason);

    [LoggerMessage(1004, LogLevel.Error, "Device '{Device}': revoking {Count} leases failed", EventName = "RevokeFailed")]
    public static partial void RevokeFailed(ILogger logger, string device, int count, Exception exception);

    [LoggerMessage(ExportFailedId, LogLevel.Warning, "Device '{Device}': exporting {Ranges} as lease {Lease} for uid {Uid} failed ({More} more of these lines were kept back)", EventName = "ExportFailed")]
    public static partial void ExportFailed(ILogger logger, string device, RangeList ranges, LeaseId lease, uint uid, long more, Exception exception);

    [LoggerMessage(1006, LogLevel.Error, "Device '{Device}' is gone: its {Count} leases end", EventName = "DeviceGone")]
    public static partial void DeviceGone(ILogger logger, string device, int count);

    [LoggerMessage(1007, LogLevel.Warning, "Device '{Device}': trying again to end {Count} quarantined leases", EventName = "QuarantineRetried")]
    public static partial void QuarantineRetried(ILogger logger, string device, int count);

    [LoggerMessage(1008, LogLevel.Warning, "Device '{Device}' was given back to the kernel: {Count} leases of it whose end was not confirmed reach nothing any more", EventName = "QuarantineClosed")]
    public static partial void QuarantineClosed(ILogger logger, string device, int count);

    [LoggerMessage(1009, LogLevel.Information, "Lease {Lease} of {Ranges}, device '{Device}': its holder was told that it ends in {Grace}, {Reason}", EventName = "LeaseEndAnnounced")]
    public static partial void Announced(ILogger logger, LeaseId lease, RangeList ranges, string device, TimeSpan grace, EndReason reason);

    [LoggerMessage(1010, LogLevel.Debug, "Lease {Lease}: renewed for {Time}", EventName = "LeaseRenewed")]
    public static partial void Renewed(ILogger logger, LeaseId lease, TimeSpan? time);
}
