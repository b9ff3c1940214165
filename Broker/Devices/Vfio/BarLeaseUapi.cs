using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

// linux/bar_lease.h, which says what everything means. A test compares the two field by field.

internal static class BarLeaseUapi
{
    public const uint ApiVersion = 2;
    public const uint IocType = 'b';
    public const uint MaxIds = 65536;
    public const uint MemoryUncached = 1;
    public const uint MemoryWriteCombining = 2;
    public const uint ExportReadOnly = 1;
    public const uint ExportP2p = 2;
    public const uint StateLive = 1;
    public const uint StateSuspended = 2;
    public const uint StateRevoking = 3;

    public static readonly uint GetInfo = Ioctl.ReadWrite<BarLeaseInfo>((char)IocType, 0);
    public static readonly uint Export = Ioctl.ReadWrite<BarLeaseExport>((char)IocType, 1);
    public static readonly uint Revoke = Ioctl.ReadWrite<BarLeaseRevoke>((char)IocType, 2);
    public static readonly uint List = Ioctl.ReadWrite<BarLeaseList>((char)IocType, 3);
    public static readonly uint GetFd = Ioctl.ReadWrite<BarLeaseGetFd>((char)IocType, 4);

    public static uint FromMemoryType(MemoryType type) => type == MemoryType.WriteCombining ? MemoryWriteCombining : MemoryUncached;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseRange
{
    public ulong Offset;
    public ulong Length;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseInfo
{
    public uint Argsz;
    public uint Flags;
    public uint ApiVersion;
    public uint MaxRanges;
    public uint MaxIds;
    public uint MemoryTypes;
    public ulong LeasesLive;
    public ulong Exports;
    public ulong RevokeCalls;
    public ulong LeasesRevoked;
    public ulong Faults;
    public ulong Unmaps;
    public ulong HugeFaults;
    public ulong Importers;
    public ulong ImporterMaps;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseExport
{
    public uint Argsz;
    public uint Flags;
    public ulong LeaseId;
    public uint PciDomain;
    public ushort PciBus;
    public ushort PciDevfn;
    public uint Bar;
    public int DmabufFd;
    public uint MemoryType;
    public uint NrRanges;
    public ulong Ranges;
    public uint Verified;
    public uint Holder;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseRevoke
{
    public uint Argsz;
    public uint Flags;
    public uint NrIds;
    public uint NrRevoked;
    public ulong Ids;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseEntry
{
    public ulong LeaseId;
    public uint PciDomain;
    public ushort PciBus;
    public ushort PciDevfn;
    public uint Bar;
    public uint Flags;
    public uint MemoryType;
    public uint State;
    public uint FirstRange;
    public uint NrRanges;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseList
{
    public uint Argsz;
    public uint Flags;
    public uint NrLeases;
    public uint NrRanges;
    public ulong Leases;
    public ulong Ranges;
}

[StructLayout(LayoutKind.Sequential)]
internal struct BarLeaseGetFd
{
    public uint Argsz;
    public uint Flags;
    public ulong LeaseId;
}
