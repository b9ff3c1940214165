using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Tests.Client;

/// <summary>userfaultfd(2) with UFFD_FEATURE_SIGBUS: touching a page that isn't there is SIGBUS, until the descriptor is closed.</summary>
internal static unsafe partial class MissingPages
{
    private const ulong ApiVersion = 0xaa;
    private const ulong SigBusFeature = 1 << 7;
    private const ulong ModeMissing = 1;
    private const nint UserModeOnly = 1;
    private const nint CloseOnExec = 0x80000;

    public static OwnedDescriptor FaultOn(nint address, ulong length)
    {
        nint number = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 323 : 282;
        nint descriptor = SystemCall(number, CloseOnExec | UserModeOnly);
        if (descriptor < 0)
        {
            throw UnixException.FromLastError("userfaultfd");
        }

        OwnedDescriptor owned = new((int)descriptor);
        ulong* api = stackalloc ulong[3] { ApiVersion, SigBusFeature, 0 };
        ulong* register = stackalloc ulong[4] { (ulong)address, length, ModeMissing, 0 };
        if (Control(owned, 0xc018aa3f, api) < 0 || Control(owned, 0xc020aa00, register) < 0)
        {
            throw UnixException.FromLastError("ioctl UFFDIO_API, UFFDIO_REGISTER");
        }

        return owned;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(OwnedDescriptor descriptor, nuint request, ulong* argument);
}
