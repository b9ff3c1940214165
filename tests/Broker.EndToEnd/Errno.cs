namespace BarBroker.EndToEnd;

/// <summary>The error numbers that scenarios expect of the kernel (errno(3), x86-64).</summary>
internal static class Errno
{
    internal const int BadDescriptor = 9;
    internal const int AccessDenied = 13;
    internal const int NoDevice = 19;
    internal const int Invalid = 22;
}
