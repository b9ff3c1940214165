using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// The kernel module's own counters of a broker's session (struct bar_lease_info). They belong to the broker's open file, so
/// the test borrows that: its word is the kernel's, whatever the broker thinks it did.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly partial struct LeaseSessionInfo
{
    private readonly uint _argumentSize;
    private readonly uint _flags;
    private readonly uint _apiVersion;
    private readonly uint _maxRanges;
    private readonly uint _maxIds;
    private readonly uint _memoryTypes;

    internal readonly ulong LeasesLive;
    internal readonly ulong Exports;
    internal readonly ulong RevokeCalls;
    internal readonly ulong LeasesRevoked;
    internal readonly ulong Faults;
    internal readonly ulong Unmaps;
    internal readonly ulong HugeFaults;
    internal readonly ulong Importers;
    internal readonly ulong ImporterMaps;

    private LeaseSessionInfo(int argumentSize)
    {
        this = default;
        _argumentSize = (uint)argumentSize;
    }

    private static int Size => Marshal.SizeOf<LeaseSessionInfo>();

    // _IOWR('b', 0, struct bar_lease_info)
    private static nuint GetInfo => (3U << 30) | ((uint)Size << 16) | ('b' << 8);

    internal static LeaseSessionInfo Of(BrokerProcess broker)
    {
        using SafeFileHandle session = BorrowedDescriptor.Of(broker.ProcessId, "/dev/bar_lease");
        LeaseSessionInfo info = new(Size);
        return Control(session, GetInfo, ref info) == 0
            ? info
            : throw new InvalidOperationException($"BAR_LEASE_GET_INFO: errno {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle descriptor, nuint request, ref LeaseSessionInfo argument);
}
