namespace BarBroker.Hosting;

/// <summary>The log of devices that come, go and return. Ids are stable.</summary>
internal static partial class DeviceLog
{
    [LoggerMessage(1301, LogLevel.Information, "Device '{Device}' is back: leases of it can be had again", EventName = "DeviceReturned")]
    public static partial void Returned(ILogger logger, string device);

    [LoggerMessage(1302, LogLevel.Debug, "Device '{Device}' can't be taken back yet: {Error}", EventName = "DeviceNotYet")]
    public static partial void NotYet(ILogger logger, string device, string error);

    [LoggerMessage(1303, LogLevel.Error, "Device '{Device}' is there, but does not fit the policy; it stays gone. Put the old one back, or correct the policy and restart the broker: {Error}", EventName = "DeviceMisfit")]
    public static partial void Misfit(ILogger logger, string device, string error);

    [LoggerMessage(1304, LogLevel.Critical, "Device '{Device}' is looked after no more, and stays gone if it goes away", EventName = "SupervisionFailed")]
    public static partial void SupervisionFailed(ILogger logger, string device, Exception exception);

    [LoggerMessage(1305, LogLevel.Warning, "Stopping: the kernel does not return from opening or closing a device", EventName = "StillOpening")]
    public static partial void StillOpening(ILogger logger);

    [LoggerMessage(1306, LogLevel.Error, "Device '{Device}' could not be taken back, for a reason that nobody thought of; it is tried again in a while", EventName = "TakingBackFailed")]
    public static partial void TakingBackFailed(ILogger logger, string device, Exception exception);

    [LoggerMessage(1307, LogLevel.Warning, "Device '{Device}' is there, but can't be taken back yet; it is tried again in a while, and at every sign: {Error}", EventName = "DeviceNotHad")]
    public static partial void NotHad(ILogger logger, string device, string error);

    [LoggerMessage(1308, LogLevel.Error, "Device '{Device}': the kernel has not returned from opening it for {Seconds} s; its log may say why", EventName = "OpenOverdue")]
    public static partial void OpenOverdue(ILogger logger, string device, double seconds);

    [LoggerMessage(1309, LogLevel.Warning, "Stopping while device '{Device}' is being opened; this process can't end before the kernel returns from that", EventName = "StoppedWhileOpening")]
    public static partial void StoppedWhileOpening(ILogger logger, string device);

    [LoggerMessage(1310, LogLevel.Information, "Device '{Device}', which was being opened when the broker was told to stop, was not had in the end", EventName = "LateOpenFailed")]
    public static partial void LateOpenFailed(ILogger logger, string device, Exception exception);

    [LoggerMessage(1311, LogLevel.Warning, "Starting without device '{Device}'; it is taken in once the kernel has returned from opening it", EventName = "StartsWithout")]
    public static partial void StartsWithout(ILogger logger, string device);
}
