using System.Runtime.InteropServices;

namespace BarBroker.Probe;

/// <summary>What a program can try with a lease's bare descriptor. Each returns 0 when the kernel lets it, else errno.</summary>
internal static class RawDescriptor
{
    internal static int Map(SafeHandle descriptor, ulong offset, ulong length, bool writable)
    {
        nint address = Libc.Map(0, (nuint)length, Protection(writable), Libc.MapShared, Number(descriptor), (nint)offset);
        if (address == Libc.MapFailed)
        {
            return Marshal.GetLastPInvokeError();
        }

        _ = Libc.Unmap(address, (nuint)length);
        return 0;
    }

    internal static int ProtectWritable(SafeHandle descriptor, ulong length)
    {
        nint address = Libc.Map(0, (nuint)length, Libc.ProtectionRead, Libc.MapShared, Number(descriptor), 0);
        if (address == Libc.MapFailed)
        {
            throw new InvalidOperationException($"The lease can't even be mapped for reading: errno {Marshal.GetLastPInvokeError()}.");
        }

        int errno = Libc.Protect(address, (nuint)length, Libc.ProtectionReadWrite) == 0 ? 0 : Marshal.GetLastPInvokeError();
        _ = Libc.Unmap(address, (nuint)length);
        return errno;
    }

    internal static int ReopenWritable(SafeHandle descriptor)
    {
        int again = Libc.Open($"/proc/self/fd/{Number(descriptor)}", Libc.OpenReadWrite | Libc.OpenCloseOnExec);
        if (again < 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        _ = Libc.Close(again);
        return 0;
    }

    internal static int Write(SafeHandle descriptor, uint value)
    {
        return Libc.Write(Number(descriptor), value, sizeof(uint)) >= 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    // The lease outlives every call here: it is disposed by the same loop that makes them.
    internal static int Number(SafeHandle descriptor) => (int)descriptor.DangerousGetHandle();

    private static int Protection(bool writable) => writable ? Libc.ProtectionReadWrite : Libc.ProtectionRead;
}
