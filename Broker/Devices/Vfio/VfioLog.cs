namespace BarBroker.Devices.Vfio;

internal static partial class VfioLog
{
    [LoggerMessage(2001, LogLevel.Information, "Device {Device}: {Address} opened by {Route}; {Bars} BAR(s) can be leased")]
    public static partial void Opened(this ILogger logger, string device, PciAddress address, string route, int bars);

    [LoggerMessage(2002, LogLevel.Warning, "Device {Device}: the kernel asks for {Address} back (it is being unplugged or unbound); its leases end")]
    public static partial void Requested(this ILogger logger, string device, PciAddress address);

    [LoggerMessage(2003, LogLevel.Warning, "Device {Device}: the kernel still waits for {Address} to be given back")]
    public static partial void StillRequested(this ILogger logger, string device, PciAddress address);

    [LoggerMessage(2004, LogLevel.Error, "Device {Device}: somebody who was told that it is gone failed")]
    public static partial void GoneHandlerFailed(this ILogger logger, Exception exception, string device);

    [LoggerMessage(2005, LogLevel.Error, "Device {Device}: the kernel has not returned from '{Call}' for {Seconds} s: no lease of it is made until it does")]
    public static partial void Overdue(this ILogger logger, string device, string call, double seconds);

    [LoggerMessage(2006, LogLevel.Error, "Device {Device}: {Count} lease(s) could not be confirmed revoked")]
    public static partial void RevocationUnconfirmed(this ILogger logger, Exception exception, string device, int count);

    [LoggerMessage(2007, LogLevel.Information, "Device {Device}: the kernel could only check the sizes of exported ranges, not their bus addresses (ACS redirects the function's requests)")]
    public static partial void NotVerified(this ILogger logger, string device);

    [LoggerMessage(2008, LogLevel.Information, "Device {Device}: {Address} closed")]
    public static partial void Closed(this ILogger logger, string device, PciAddress address);

    [LoggerMessage(2009, LogLevel.Warning, "Device {Device}: the kernel has returned from '{Call}' after all")]
    public static partial void Returned(this ILogger logger, string device, string call);

    [LoggerMessage(2010, LogLevel.Information, "Device {Device}: suspended ({Reason})")]
    public static partial void Suspended(this ILogger logger, string device, SuspendReason reason);

    [LoggerMessage(2011, LogLevel.Information, "Device {Device}: can be reached again; reset meanwhile: {WasReset}")]
    public static partial void Resumed(this ILogger logger, string device, bool wasReset);

    [LoggerMessage(2012, LogLevel.Error, "Device {Device}: '{Call}' failed")]
    public static partial void ControlFailed(this ILogger logger, Exception exception, string device, string call);

    [LoggerMessage(2013, LogLevel.Warning, "The kernel's device events can't be heard (a unit needs AF_NETLINK in RestrictAddressFamilies): a device that went away may be noticed late when it returns")]
    public static partial void NoKernelEvents(this ILogger logger, Exception exception);

    [LoggerMessage(2014, LogLevel.Information, "The kernel had more device events than could be kept; looking for devices that are gone")]
    public static partial void KernelEventsLost(this ILogger logger);

    [LoggerMessage(2015, LogLevel.Warning, "The kernel's device events could not be read, so some may be lost; looking for devices that are gone")]
    public static partial void KernelEventsFailed(this ILogger logger, Exception exception);

    [LoggerMessage(2016, LogLevel.Debug, "The kernel's device events are listened to no more")]
    public static partial void KernelEventsEnded(this ILogger logger, Exception exception);

    [LoggerMessage(2017, LogLevel.Warning, "VFIO's nodes can't be watched (sysctl fs.inotify.max_user_instances and max_user_watches are the limits): a device that went away may be noticed late when it returns")]
    public static partial void NoNodeEvents(this ILogger logger, Exception exception);

    [LoggerMessage(2018, LogLevel.Warning, "Device {Device}: the kernel does not list its leases, so that none of those that were to end counts as ended")]
    public static partial void ListFailed(this ILogger logger, Exception exception, string device);
}
