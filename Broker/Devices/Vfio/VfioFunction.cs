using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>A PCI function that VFIO has given to this process. Its calls block the thread, possibly long: a reset holds them up.</summary>
internal interface IVfioFunction : IDisposable
{
    /// <summary>The BARs that can be mapped, in order of their index, with what must not be leased.</summary>
    /// <exception cref="InvalidDataException">The function's configuration space makes no sense.</exception>
    ImmutableArray<BarGeometry> ReadBars();

    /// <summary>Has <paramref name="request"/> raised when the kernel wants the function back, and again and again until it is closed.</summary>
    void RaiseOnRequest(EventFd request);

    /// <summary>VFIO's own DMABUF of these ranges. The caller owns it, and must not let it out of the process: see the exporter's design.</summary>
    /// <exception cref="UnixException">ENOTTY on a kernel that can't export.</exception>
    OwnedDescriptor ExportDmaBuf(ImmutableArray<BarRange> ranges);

    /// <summary>The kernel knows a way to reset it.</summary>
    bool CanReset { get; }

    /// <summary>It has a power management capability, so that there is a D3hot to put it into.</summary>
    bool CanSleep { get; }

    /// <summary>It keeps what its registers hold in D3hot and on the way back (No_Soft_Reset); else waking it resets it. For functions that can sleep.</summary>
    /// <exception cref="IOException">The function does not answer.</exception>
    bool SleepsWithoutReset { get; }

    /// <summary>Turns its answering of memory requests on or off. Not to be called while it is in D3hot.</summary>
    /// <exception cref="IOException">The kernel refused, or the function did not do it.</exception>
    void SetMemory(bool on);

    /// <summary>Puts it into D3hot, or back into D0 with its configuration as it was.</summary>
    /// <exception cref="IOException">The kernel refused, or the function did not do it.</exception>
    void SetSleep(bool asleep);

    /// <summary>Resets it; its configuration stays. Not to be called while it is in D3hot.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    void Reset();
}

/// <inheritdoc cref="IVfioFunction"/>
internal sealed partial class VfioFunction(OwnedDescriptor device, PciAddress address, Action afterClose) : IVfioFunction
{
    private const int BarCount = 6;

    private Action? _afterClose = afterClose;

    /// <summary>The kernel can export DMABUFs of this function's BARs.</summary>
    public bool CanExportDmaBuf
    {
        get
        {
            VfioDeviceFeature feature = new()
            {
                Argsz = (uint)Unsafe.SizeOf<VfioDeviceFeature>(),
                Flags = VfioUapi.DeviceFeatureProbe | VfioUapi.DeviceFeatureGet | VfioUapi.DeviceFeatureDmaBuf,
            };
            try
            {
                Ioctl.Call(device, VfioUapi.DeviceFeature, ref feature, "VFIO_DEVICE_FEATURE PROBE DMA_BUF");
                return true;
            }
            catch (UnixException)
            {
                return false;
            }
        }
    }

    /// <inheritdoc/>
    public ImmutableArray<BarGeometry> ReadBars()
    {
        VfioDeviceInfo info = GetInfo();
        if ((info.Flags & VfioUapi.DeviceFlagsPci) == 0 || info.NumRegions <= VfioUapi.PciConfigRegionIndex)
        {
            throw new InvalidDataException("VFIO does not present it as a PCI function");
        }

        ImmutableArray<BarRange> reserved = MsixLayout.Parse(ReadConfiguration());
        ImmutableArray<BarGeometry>.Builder bars = ImmutableArray.CreateBuilder<BarGeometry>();
        for (int index = 0; index < BarCount; index++)
        {
            VfioRegionInfo region = GetRegion((uint)index);

            // I/O ports can't be mapped. Of a BAR smaller than a page the rest of the page may be another function's.
            if ((region.Flags & VfioUapi.RegionInfoFlagMmap) != 0 && region.Size >= BarRange.PageSize && region.Size % BarRange.PageSize == 0)
            {
                bars.Add(new BarGeometry(index, region.Size, [.. reserved.Where(range => range.Bar == index)]));
            }
        }

        return bars.ToImmutable();
    }

    /// <inheritdoc/>
    public void RaiseOnRequest(EventFd request)
    {
        bool held = false;
        try
        {
            request.Descriptor.DangerousAddRef(ref held);
            VfioIrqSet set = new()
            {
                Argsz = (uint)Unsafe.SizeOf<VfioIrqSet>(),
                Flags = VfioUapi.IrqSetDataEventfd | VfioUapi.IrqSetActionTrigger,
                Index = VfioUapi.PciReqIrqIndex,
                Start = 0,
                Count = 1,
                Data = (int)request.Descriptor.DangerousGetHandle(),
            };
            Ioctl.Call(device, VfioUapi.DeviceSetIrqs, ref set, $"VFIO_DEVICE_SET_IRQS REQ {address}");
        }
        finally
        {
            if (held)
            {
                request.Descriptor.DangerousRelease();
            }
        }
    }

    /// <inheritdoc/>
    public OwnedDescriptor ExportDmaBuf(ImmutableArray<BarRange> ranges)
    {
        const uint ReadWriteCloseOnExec = 0x8_0002;
        int header = Unsafe.SizeOf<VfioDeviceFeature>() + Unsafe.SizeOf<VfioDeviceFeatureDmaBuf>();
        byte[] argument = new byte[header + (ranges.Length * 2 * sizeof(ulong))];
        VfioDeviceFeature feature = new() { Argsz = (uint)argument.Length, Flags = VfioUapi.DeviceFeatureGet | VfioUapi.DeviceFeatureDmaBuf };
        VfioDeviceFeatureDmaBuf payload = new()
        {
            RegionIndex = (uint)ranges[0].Bar,
            OpenFlags = ReadWriteCloseOnExec,
            NrRanges = (uint)ranges.Length,
        };
        MemoryMarshal.Write(argument, feature);
        MemoryMarshal.Write(argument.AsSpan(Unsafe.SizeOf<VfioDeviceFeature>()), payload);
        Span<ulong> numbers = MemoryMarshal.Cast<byte, ulong>(argument.AsSpan(header));
        for (int i = 0; i < ranges.Length; i++)
        {
            numbers[2 * i] = ranges[i].Offset;
            numbers[(2 * i) + 1] = ranges[i].Length;
        }

        return new OwnedDescriptor(Ioctl.Call(device, VfioUapi.DeviceFeature, argument, $"VFIO_DEVICE_FEATURE DMA_BUF {address}"));
    }

    /// <summary>Gives the function back. Blocks while the kernel resets it.</summary>
    public void Dispose()
    {
        device.Dispose();
        Interlocked.Exchange(ref _afterClose, null)?.Invoke();
    }

    private VfioDeviceInfo GetInfo()
    {
        VfioDeviceInfo info = new() { Argsz = (uint)Unsafe.SizeOf<VfioDeviceInfo>() };
        Ioctl.Call(device, VfioUapi.DeviceGetInfo, ref info, "VFIO_DEVICE_GET_INFO");
        return info;
    }

    private VfioRegionInfo GetRegion(uint index)
    {
        VfioRegionInfo region = new() { Argsz = (uint)Unsafe.SizeOf<VfioRegionInfo>(), Index = index };
        Ioctl.Call(device, VfioUapi.DeviceGetRegionInfo, ref region, "VFIO_DEVICE_GET_REGION_INFO");
        return region;
    }

    private byte[] ReadConfiguration()
    {
        VfioRegionInfo region = GetRegion(VfioUapi.PciConfigRegionIndex);
        byte[] configuration = new byte[PciCapabilities.SpaceSize];
        int length = Files.ReadAt(device, configuration, region.Offset);
        return configuration[..length];
    }
}
