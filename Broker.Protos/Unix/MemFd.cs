using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>What can no longer be done to a memfd, by anyone (F_ADD_SEALS, fcntl(2)).</summary>
[Flags]
internal enum Seals
{
    None = 0,

    /// <summary>No more seals.</summary>
    Seal = 0x1,
    Shrink = 0x2,
    Grow = 0x4,
    Write = 0x8,

    /// <summary>No new writable mapping and no write(2); what is mapped stays writable.</summary>
    FutureWrite = 0x10,

    /// <summary>It can't be made executable.</summary>
    Exec = 0x20,
}

/// <summary>Memory that has a descriptor (memfd_create(2)).</summary>
internal static class MemFd
{
    private const uint CloseOnExec = 0x1;
    private const uint AllowSealing = 0x2;
    private const uint NoExecSeal = 0x8;

    /// <summary>Makes an empty one: close-on-exec, sealable, and never executable where the kernel (6.3) can promise that.</summary>
    /// <param name="name">For people: /proc/PID/maps shows it.</param>
    public static OwnedDescriptor Create(string name)
    {
        int descriptor = Libc.MemFdCreate(name, CloseOnExec | AllowSealing | NoExecSeal);
        if (descriptor < 0 && Marshal.GetLastPInvokeError() == Errno.InvalidArgument)
        {
            descriptor = Libc.MemFdCreate(name, CloseOnExec | AllowSealing);
        }

        return descriptor < 0 ? throw UnixException.FromLastError("memfd_create") : new OwnedDescriptor(descriptor);
    }

    public static void AddSeals(OwnedDescriptor descriptor, Seals seals)
    {
        const int AddSeals = 1033;
        if (Libc.Control(descriptor, AddSeals, (nint)seals) < 0)
        {
            throw UnixException.FromLastError($"fcntl F_ADD_SEALS {seals}");
        }
    }

    public static Seals GetSeals(OwnedDescriptor descriptor)
    {
        const int GetSeals = 1034;
        int seals = Libc.Control(descriptor, GetSeals, 0);
        return seals < 0 ? throw UnixException.FromLastError("fcntl F_GET_SEALS") : (Seals)seals;
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int MemFdCreate(string name, uint flags);

    [LibraryImport(Library, EntryPoint = "fcntl", SetLastError = true)]
    internal static partial int Control(OwnedDescriptor descriptor, int command, nint argument);
}
