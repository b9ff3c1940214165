using System.Runtime.InteropServices;

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
        string link = Directory.GetFiles($"/proc/{broker.ProcessId}/fd")
            .First(descriptor => File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.FullName == "/dev/bar_lease");
        int number = int.Parse(Path.GetFileName(link), System.Globalization.CultureInfo.InvariantCulture);
        int process = Checked(OpenProcess(broker.ProcessId, 0), "pidfd_open");
        int session = Checked(GetDescriptor(process, number, 0), "pidfd_getfd");
        LeaseSessionInfo info = new(Size);
        Checked(Control(session, GetInfo, ref info), "BAR_LEASE_GET_INFO");

        // At once: the session's last close is what revokes everything when a broker dies.
        Checked(Close(session), "close");
        Checked(Close(process), "close");
        return info;
    }

    private static int Checked(int result, string call)
    {
        return result >= 0 ? result : throw new InvalidOperationException($"{call}: errno {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", EntryPoint = "pidfd_open", SetLastError = true)]
    private static partial int OpenProcess(int process, uint flags);

    [LibraryImport("libc", EntryPoint = "pidfd_getfd", SetLastError = true)]
    private static partial int GetDescriptor(int process, int descriptor, uint flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int descriptor, nuint request, ref LeaseSessionInfo argument);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
