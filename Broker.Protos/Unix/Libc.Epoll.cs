using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Readiness and processes: epoll(7), pidfd_open(2).</summary>
internal static partial class Libc
{
    internal const int EpollCloseOnExec = 0x80000;
    internal const int EpollAdd = 1;
    internal const int EpollDelete = 2;
    internal const int EpollModify = 3;

    private const nint SysPidfdOpen = 434;

    [LibraryImport(Library, EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int EpollCreate(int flags);

    [LibraryImport(Library, EntryPoint = "epoll_ctl", SetLastError = true)]
    internal static unsafe partial int EpollControl(SafeHandle epoll, int operation, SafeHandle descriptor, byte* epollEvent);

    [LibraryImport(Library, EntryPoint = "epoll_wait", SetLastError = true)]
    internal static unsafe partial int EpollWait(SafeHandle epoll, byte* events, int capacity, int timeoutMilliseconds);

    /// <summary>By number: glibc has a wrapper only since 2.36.</summary>
    internal static int PidfdOpen(int pid) => (int)SystemCall(SysPidfdOpen, pid, 0);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint first, nint second);
}
