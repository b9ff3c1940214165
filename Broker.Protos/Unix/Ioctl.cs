using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>ioctl(2), and the numbering of requests as linux/ioctl.h does it on x86-64 and arm64.</summary>
internal static class Ioctl
{
    /// <summary>_IO(type, number)</summary>
    public static uint None(char type, uint number) => ((uint)type << 8) | number;

    /// <summary>_IOWR(type, number, T)</summary>
    public static uint ReadWrite<T>(char type, uint number)
        where T : unmanaged
        => (3u << 30) | ((uint)Unsafe.SizeOf<T>() << 16) | None(type, number);

    /// <summary>A request whose argument is a struct, which it may change.</summary>
    /// <param name="descriptor">What to ask.</param>
    /// <param name="request">The request's number.</param>
    /// <param name="argument">The struct.</param>
    /// <param name="name">The request's name, for the exception.</param>
    /// <exception cref="UnixException">The kernel refused.</exception>
    public static unsafe int Call<T>(OwnedDescriptor descriptor, uint request, ref T argument, string name)
        where T : unmanaged
    {
        fixed (T* pointer = &argument)
        {
            return Call(descriptor, request, (nint)pointer, name);
        }
    }

    /// <summary>A request whose argument is a struct with an array behind it.</summary>
    public static unsafe int Call(OwnedDescriptor descriptor, uint request, Span<byte> argument, string name)
    {
        fixed (byte* pointer = argument)
        {
            return Call(descriptor, request, (nint)pointer, name);
        }
    }

    /// <summary>A request whose argument is a plain number, or an address that the caller keeps in place.</summary>
    public static int Call(OwnedDescriptor descriptor, uint request, nint argument, string name)
    {
        int result;
        do
        {
            result = Libc.Ioctl(descriptor, request, argument);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted);

        return result < 0 ? throw UnixException.FromLastError(name) : result;
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int Ioctl(OwnedDescriptor descriptor, nuint request, nint argument);
}
