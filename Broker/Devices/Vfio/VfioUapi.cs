using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

// The part of linux/vfio.h that is used here; the header says what everything means.

internal static class VfioUapi
{
    public const int ApiVersion = 0;
    public const int Type1V2Iommu = 3;
    public const uint GroupFlagsViable = 1;
    public const uint DeviceFlagsReset = 1;
    public const uint DeviceFlagsPci = 2;
    public const uint RegionInfoFlagMmap = 4;
    public const uint IrqSetDataEventfd = 4;
    public const uint IrqSetActionTrigger = 32;
    public const uint DeviceFeatureGet = 1 << 16;
    public const uint DeviceFeatureProbe = 1 << 18;

    /// <summary>Since Linux 6.19.</summary>
    public const uint DeviceFeatureDmaBuf = 11;
    public const uint PciConfigRegionIndex = 7;
    public const uint PciReqIrqIndex = 4;

    public static readonly uint GetApiVersion = Ioctl.None(';', 100);
    public static readonly uint CheckExtension = Ioctl.None(';', 101);
    public static readonly uint SetIommu = Ioctl.None(';', 102);
    public static readonly uint GroupGetStatus = Ioctl.None(';', 103);
    public static readonly uint GroupSetContainer = Ioctl.None(';', 104);
    public static readonly uint GroupGetDeviceFd = Ioctl.None(';', 106);
    public static readonly uint DeviceGetInfo = Ioctl.None(';', 107);
    public static readonly uint DeviceGetRegionInfo = Ioctl.None(';', 108);
    public static readonly uint DeviceSetIrqs = Ioctl.None(';', 110);
    public static readonly uint DeviceReset = Ioctl.None(';', 111);
    public static readonly uint DeviceFeature = Ioctl.None(';', 117);

    /// <summary>Since Linux 6.6.</summary>
    public static readonly uint DeviceBindIommufd = Ioctl.None(';', 118);
}

[StructLayout(LayoutKind.Sequential)]
internal struct VfioGroupStatus
{
    public uint Argsz;
    public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceInfo
{
    public uint Argsz;
    public uint Flags;
    public uint NumRegions;
    public uint NumIrqs;
    public uint CapOffset;
    public uint Pad;
}

[StructLayout(LayoutKind.Sequential)]
internal struct VfioRegionInfo
{
    public uint Argsz;
    public uint Flags;
    public uint Index;
    public uint CapOffset;
    public ulong Size;
    public ulong Offset;
}

/// <summary>struct vfio_irq_set with one eventfd.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioIrqSet
{
    public uint Argsz;
    public uint Flags;
    public uint Index;
    public uint Start;
    public uint Count;
    public int Data;
}

/// <summary>struct vfio_device_feature; what it is about follows it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceFeature
{
    public uint Argsz;
    public uint Flags;
}

/// <summary>struct vfio_device_feature_dma_buf; its ranges follow it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceFeatureDmaBuf
{
    public uint RegionIndex;
    public uint OpenFlags;
    public uint Flags;
    public uint NrRanges;
}

/// <summary>struct vfio_device_bind_iommufd as Linux 6.6 had it; newer kernels take a token behind it, which stands for none here.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceBindIommufd
{
    public uint Argsz;
    public uint Flags;
    public int Iommufd;
    public uint OutDevid;
}
