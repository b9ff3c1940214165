namespace BarBroker.Hosting;

/// <summary>The log of the daemon's start and end. Ids are stable.</summary>
internal static partial class HostLog
{
    [LoggerMessage(1201, LogLevel.Information, "Serving {Devices} devices on {BrokerSocket} (group {Group}) and {AdminSocket}", EventName = "Serving")]
    public static partial void Serving(ILogger logger, int devices, string brokerSocket, string group, string adminSocket);

    [LoggerMessage(1202, LogLevel.Information, "{Signal}: stopping", EventName = "Stopping")]
    public static partial void Stopping(ILogger logger, string signal);

    [LoggerMessage(1203, LogLevel.Information, "Stopped: {Count} leases ended", EventName = "Stopped")]
    public static partial void Stopped(ILogger logger, int count);

    [LoggerMessage(1204, LogLevel.Critical, "Stopping: the end of {Count} leases was not confirmed. The kernel ends them once this process is gone", EventName = "StoppedUnconfirmed")]
    public static partial void StoppedUnconfirmed(ILogger logger, int count);

    [LoggerMessage(1205, LogLevel.Critical, "Stopping: leases did not end within {Limit}. The kernel ends them once this process is gone", EventName = "StopTimedOut")]
    public static partial void StopTimedOut(ILogger logger, TimeSpan limit);

    [LoggerMessage(1206, LogLevel.Warning, "Stopping: not every watcher took its last events within {Limit}", EventName = "WatchersSlow")]
    public static partial void WatchersSlow(ILogger logger, TimeSpan limit);

    [LoggerMessage(1207, LogLevel.Error, "Device '{Device}' did not close cleanly", EventName = "CloseFailed")]
    public static partial void CloseFailed(ILogger logger, string device, Exception exception);

    [LoggerMessage(1208, LogLevel.Warning, "The service manager at {Socket} can't be told {State}: {Error}", EventName = "NotifyFailed")]
    public static partial void NotifyFailed(ILogger logger, string socket, string state, string error);

    [LoggerMessage(1209, LogLevel.Warning, "SIGHUP: this broker reads its policy at its start only. Restart it, which ends all leases, to read it again", EventName = "HangUp")]
    public static partial void HangUp(ILogger logger);

    [LoggerMessage(1210, LogLevel.Warning, "Device '{Device}' can't be mapped write-combining on this machine: every lease under {Grants} will be refused", EventName = "MemoryTypeMissing")]
    public static partial void MemoryTypeMissing(ILogger logger, string device, string grants);

    [LoggerMessage(1211, LogLevel.Error, "Stopping: the kernel did not let go of VFIO and of the bar_lease module within {Limit}. It does once this process is gone and no driver has a lease mapped", EventName = "LetGoTimedOut")]
    public static partial void LetGoTimedOut(ILogger logger, TimeSpan limit);
}
