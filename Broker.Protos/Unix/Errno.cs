namespace BarBroker.Unix;

/// <summary>The error numbers that code here decides by (errno(3)).</summary>
internal static class Errno
{
    internal const int NotPermitted = 1;
    internal const int NoEntry = 2;
    internal const int NoSuchProcess = 3;
    internal const int Interrupted = 4;
    internal const int NoSuchDevice = 6;
    internal const int Again = 11;
    internal const int NoMemory = 12;
    internal const int AccessDenied = 13;
    internal const int Busy = 16;
    internal const int NoDevice = 19;
    internal const int InvalidArgument = 22;
    internal const int TooManyFilesOfSystem = 23;
    internal const int TooManyFiles = 24;
    internal const int NoSpace = 28;
    internal const int BrokenPipe = 32;
    internal const int Range = 34;
    internal const int NoProtocolOption = 92;
    internal const int NotSupported = 95;
    internal const int ConnectionReset = 104;
    internal const int NoBuffers = 105;
    internal const int TooManyReferences = 109;
    internal const int TimedOut = 110;
    internal const int QuotaExceeded = 122;
}
