namespace BarBroker.Unix;

/// <summary>The error numbers that code here decides by (errno(3)).</summary>
internal static class Errno
{
    internal const int NoSuchProcess = 3;
    internal const int Interrupted = 4;
    internal const int Again = 11;
    internal const int InvalidArgument = 22;
    internal const int BrokenPipe = 32;
    internal const int Range = 34;
    internal const int NoProtocolOption = 92;
    internal const int ConnectionReset = 104;
    internal const int TooManyReferences = 109;
}
