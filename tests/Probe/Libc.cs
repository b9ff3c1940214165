using System.Runtime.InteropServices;

namespace BarBroker.Probe;

/// <summary>
/// The calls of a client that doesn't use the SDK. They are not the product's own wrappers on purpose: a probe tries
/// what a hostile program would, and reports the kernel's word.
/// </summary>
internal static partial class Libc
{
    internal const int ProtectionRead = 1;
    internal const int ProtectionReadWrite = 3;
    internal const int MapShared = 1;
    internal const int OpenReadWrite = 2;
    internal const int OpenCloseOnExec = 0x80000;
    internal static readonly nint MapFailed = -1;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    internal static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    internal static unsafe partial int SetResourceLimit(int resource, BarBroker.Unix.Libc.ResourceLimit* limit);

    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    internal static partial int Duplicate(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    internal static partial nint Write(int descriptor, in uint value, nuint count);
}
