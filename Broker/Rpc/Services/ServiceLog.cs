using BarBroker.Devices;
using BarBroker.Policy;

namespace BarBroker.Rpc.Services;

/// <summary>The log of the broker's own services. Ids are stable.</summary>
internal static partial class ServiceLog
{
    internal const int DeniedId = 1101;

    [LoggerMessage(DeniedId, LogLevel.Information, "Denied uid {Uid}, gid {Gid}, unit {Unit}, pid {Pid}, connection {Connection}: {Access} of {Target} ({Reason}; {More} more of these lines were kept back)", EventName = "Denied")]
    public static partial void Denied(ILogger logger, uint uid, uint gid, string unit, int pid, ulong connection, LeaseAccess access, string target, DenialReason reason, long more);

    [LoggerMessage(1102, LogLevel.Information, "Revoke of {Target} by uid {Uid}, pid {Pid}: leases ended: {Ended}, unconfirmed: {Unconfirmed}", EventName = "RevokeCalled")]
    public static partial void RevokeCalled(ILogger logger, string target, uint uid, int pid, int ended, int unconfirmed);

    [LoggerMessage(1103, LogLevel.Information, "{What} of device {Device} by uid {Uid}, pid {Pid}: {Outcome}", EventName = "DeviceControlled")]
    public static partial void Controlled(ILogger logger, string what, string device, uint uid, int pid, string outcome);
}
