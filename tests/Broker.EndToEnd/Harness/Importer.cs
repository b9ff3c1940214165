using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// Another device's driver that has a lease mapped and does not let go when it is told to: the importer module of the
/// kernel module's tests (importer.h). Dispose lets go as well.
/// </summary>
internal sealed partial class Importer : IDisposable
{
    private const uint Stuck = 2;

    /// <summary>After which it lets go by itself.</summary>
    private const uint LongestMilliseconds = 500_000;

    /// <summary>When the kernel reports a task that hangs, which fails the run: not before the driver lets go, because here tasks are to hang. Not every kernel has it.</summary>
    private const string HungTaskTimeout = "/proc/sys/kernel/hung_task_timeout_secs";

    private readonly SafeFileHandle _driver;
    private readonly string? _hungTaskTimeout;

    private Importer(SafeFileHandle driver)
    {
        _driver = driver;
        if (File.Exists(HungTaskTimeout))
        {
            _hungTaskTimeout = File.ReadAllText(HungTaskTimeout);
            File.WriteAllText(HungTaskTimeout, string.Create(CultureInfo.InvariantCulture, $"{2 * LongestMilliseconds / 1000}"));
        }
    }

    /// <summary>It has the lease mapped for its device.</summary>
    internal bool HasMapping => ReadState().Mapped != 0;

    /// <summary>How often it was told to let go.</summary>
    internal uint Invalidations => ReadState().Invalidations;

    /// <summary>Attaches and maps, for the board itself: the one device that reaches the board's memory on every machine.</summary>
    internal static async Task<Importer> MapAsync(ClientLease lease)
    {
        Importer importer = new(File.OpenHandle("/dev/bar_importer", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
        try
        {
            using SafeFileHandle descriptor = await lease.BorrowDescriptorAsync();
            importer.Attach(descriptor);
            importer.Command(Code(Direction.None, 1, 0), "IMPORTER_MAP");
            return importer;
        }
        catch
        {
            importer.Dispose();
            throw;
        }
    }

    /// <summary>Unmaps, at last.</summary>
    internal void LetGo() => Command(Code(Direction.None, 2, 0), "IMPORTER_UNMAP");

    public void Dispose()
    {
        _driver.Dispose();
        if (_hungTaskTimeout is not null)
        {
            File.WriteAllText(HungTaskTimeout, _hungTaskTimeout);
        }
    }

    private void Attach(SafeFileHandle descriptor)
    {
        uint[] address = [.. PciFunction.Board.Address.Split(':', '.').Select(part => uint.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        AttachRequest request = new()
        {
            Descriptor = (int)descriptor.DangerousGetHandle(),
            Mode = Stuck,
            DelayMilliseconds = LongestMilliseconds,
            Domain = address[0],
            Bus = (ushort)address[1],
            Function = (ushort)((address[2] << 3) | address[3]),
        };
        Check(Control(_driver, Code(Direction.Write, 0, Marshal.SizeOf<AttachRequest>()), ref request), "IMPORTER_ATTACH");
    }

    private ImporterState ReadState()
    {
        ImporterState state = default;
        Check(Control(_driver, Code(Direction.Read, 3, Marshal.SizeOf<ImporterState>()), ref state), "IMPORTER_STATE");
        return state;
    }

    private void Command(nuint request, string name) => Check(Control(_driver, request, 0), name);

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw new InvalidOperationException($"{call}: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    // _IO, _IOW, _IOR('i', NUMBER, TYPE)
    private static nuint Code(Direction direction, uint number, int size) => ((uint)direction << 30) | ((uint)size << 16) | ('i' << 8) | number;

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle descriptor, nuint request, ref AttachRequest argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle descriptor, nuint request, ref ImporterState argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle descriptor, nuint request, nint argument);

    private enum Direction
    {
        None = 0,
        Write = 1,
        Read = 2,
    }

    // struct importer_attach
    [StructLayout(LayoutKind.Sequential)]
    private struct AttachRequest
    {
        internal int Descriptor;
        internal uint Kind;
        internal uint Mode;
        internal uint DelayMilliseconds;
        internal uint Domain;
        internal ushort Bus;
        internal ushort Function;
        internal uint DmaBits;
    }

    // struct importer_state
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct ImporterState
    {
        internal readonly ulong Address;
        internal readonly ulong Length;
        internal readonly uint Mapped;
        internal readonly uint Invalidations;
        internal readonly uint Unmaps;
        private readonly uint _reserved;
    }
}
