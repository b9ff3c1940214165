using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>A counter that the kernel or another thread raises and that a thread can wait for (eventfd(2)).</summary>
internal sealed class EventFd : IDisposable
{
    private const int CloseOnExec = 0x80000;

    public EventFd()
    {
        int descriptor = Libc.EventFd(0, CloseOnExec);
        Descriptor = descriptor < 0 ? throw UnixException.FromLastError("eventfd") : new OwnedDescriptor(descriptor);
    }

    /// <summary>For the call that tells the kernel what to raise; stays owned by this object.</summary>
    public OwnedDescriptor Descriptor { get; }

    /// <summary>Raises it by one.</summary>
    public unsafe void Signal()
    {
        ulong one = 1;
        if (Libc.Write(Descriptor, &one, sizeof(ulong)) < 0)
        {
            throw UnixException.FromLastError("write to an eventfd");
        }
    }

    /// <summary>Blocks the thread until it was raised, and sets it back to 0.</summary>
    public unsafe void Wait()
    {
        ulong count;
        while (Libc.Read(Descriptor, &count, sizeof(ulong)) < 0)
        {
            if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
            {
                throw UnixException.FromLastError("read from an eventfd");
            }
        }
    }

    public void Dispose() => Descriptor.Dispose();
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int EventFd(uint initial, int flags);

    [LibraryImport(Library, EntryPoint = "read", SetLastError = true)]
    internal static unsafe partial nint Read(OwnedDescriptor descriptor, void* buffer, nuint count);

    [LibraryImport(Library, EntryPoint = "write", SetLastError = true)]
    internal static unsafe partial nint Write(OwnedDescriptor descriptor, void* buffer, nuint count);
}
