using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// One IOMMU container and the groups in it: what VFIO asks for before it hands out devices. No memory is ever mapped into it, so the
/// devices can reach none.
/// </summary>
internal sealed class VfioContainer : IDisposable
{
    public const string NodePath = "/dev/vfio/vfio";

    private readonly Lock _lock = new();
    private readonly Dictionary<int, Group> _groups = [];
    private readonly OwnedDescriptor _container;

    /// <exception cref="DeviceOpenException">There is no VFIO, or it has no use for us.</exception>
    public VfioContainer()
    {
        _container = Open(NodePath, "load VFIO (modprobe -a vfio-pci vfio_iommu_type1)");
        try
        {
            int version = Ioctl.Call(_container, VfioUapi.GetApiVersion, 0, "VFIO_GET_API_VERSION");
            if (version != VfioUapi.ApiVersion || Ioctl.Call(_container, VfioUapi.CheckExtension, VfioUapi.Type1V2Iommu, "VFIO_CHECK_EXTENSION") != 1)
            {
                throw new DeviceOpenException($"VFIO (API version {version}) has no type 1 IOMMU backend: modprobe vfio_iommu_type1.");
            }
        }
        catch
        {
            _container.Dispose();
            throw;
        }
    }

    /// <summary>Takes a device out of its group. Blocks: the kernel resets the device where it can.</summary>
    /// <exception cref="DeviceOpenException">The group can't be had.</exception>
    /// <exception cref="UnixException">The kernel refused the device itself.</exception>
    public VfioFunction OpenFunction(PciAddress address, int group)
    {
        Group entry = Enter(group, address);
        try
        {
            // Not under the lock: a device whose reset hangs holds up no other, neither its opening nor its closing.
            return new VfioFunction(GetDevice(entry.Descriptor, address), address, () => Leave(group, address));
        }
        catch
        {
            Leave(group, address);
            throw;
        }
    }

    /// <summary>Some device of the group is open.</summary>
    public bool HoldsGroup(int group)
    {
        lock (_lock)
        {
            return _groups.ContainsKey(group);
        }
    }

    /// <summary>Call it when all devices are closed.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Group group in _groups.Values)
            {
                group.Descriptor.Dispose();
            }

            _groups.Clear();
        }

        _container.Dispose();
    }

    private static OwnedDescriptor Open(string path, string cureIfMissing)
    {
        try
        {
            return Files.Open(path, OpenFlags.ReadWrite);
        }
        catch (UnixException exception)
        {
            string cure = exception.Errno switch
            {
                Errno.NoEntry or Errno.NoDevice => cureIfMissing,
                Errno.AccessDenied => "it must belong to the broker's user or group (chown, or a udev rule for SUBSYSTEM==\"vfio\")",
                Errno.Busy => "another process has it; VFIO gives a group to one at a time (fuser -v shows which)",
                _ => "see the kernel's log",
            };
            throw new DeviceOpenException($"{path} can't be opened ({exception.Message}): {cure}.", exception) { IsInUse = exception.Errno == Errno.Busy };
        }
    }

    private static OwnedDescriptor GetDevice(OwnedDescriptor group, PciAddress address)
    {
        nint name = Marshal.StringToCoTaskMemUTF8(address.ToString());
        try
        {
            return new OwnedDescriptor(Ioctl.Call(group, VfioUapi.GroupGetDeviceFd, name, $"VFIO_GROUP_GET_DEVICE_FD {address}"));
        }
        finally
        {
            Marshal.FreeCoTaskMem(name);
        }
    }

    private Group Attach(int number)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/dev/vfio/{number}");
        OwnedDescriptor group = Open(path, "the group's devices must be bound to vfio-pci, and the IOMMU on (VFIO's no-IOMMU mode is refused: nothing would confine the device)");
        try
        {
            VfioGroupStatus status = new() { Argsz = (uint)Unsafe.SizeOf<VfioGroupStatus>() };
            Ioctl.Call(group, VfioUapi.GroupGetStatus, ref status, "VFIO_GROUP_GET_STATUS");
            if ((status.Flags & VfioUapi.GroupFlagsViable) == 0)
            {
                throw new DeviceOpenException($"IOMMU group {number} is not viable: some function in it is still used by the host. bar-broker doctor names it.");
            }

            SetContainer(group);
            if (_groups.Count == 0)
            {
                // A container takes its IOMMU model with its first group and drops it with its last.
                SetIommu();
            }

            return new Group(group);
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    private void SetIommu()
    {
        try
        {
            Ioctl.Call(_container, VfioUapi.SetIommu, VfioUapi.Type1V2Iommu, "VFIO_SET_IOMMU");
        }
        catch (UnixException exception)
        {
            string cure = exception.Errno == Errno.NotPermitted
                ? "the platform does not remap interrupts, so a device could forge them: turn interrupt remapping on in the firmware (allow_unsafe_interrupts=1 of vfio_iommu_type1 gives that protection up)"
                : "see the kernel's log";
            throw new DeviceOpenException($"VFIO refuses its IOMMU backend ({exception.Message}): {cure}.", exception);
        }
    }

    private void SetContainer(OwnedDescriptor group)
    {
        bool held = false;
        try
        {
            _container.DangerousAddRef(ref held);
            int container = (int)_container.DangerousGetHandle();
            Ioctl.Call(group, VfioUapi.GroupSetContainer, ref container, "VFIO_GROUP_SET_CONTAINER");
        }
        finally
        {
            if (held)
            {
                _container.DangerousRelease();
            }
        }
    }

    private Group Enter(int number, PciAddress address)
    {
        lock (_lock)
        {
            if (!_groups.TryGetValue(number, out Group? group))
            {
                group = Attach(number);
                _groups[number] = group;
            }

            // VFIO would hand it out again, and two devices that are one could lease the same range twice.
            return group.Open.Add(address)
                ? group
                : throw new DeviceOpenException($"{address} is open already, under another name: a function is one device.");
        }
    }

    private void Leave(int number, PciAddress address)
    {
        lock (_lock)
        {
            if (_groups.TryGetValue(number, out Group? group) && group.Open.Remove(address) && group.Open.Count == 0)
            {
                _groups.Remove(number);
                group.Descriptor.Dispose();
            }
        }
    }

    private sealed class Group(OwnedDescriptor descriptor)
    {
        public OwnedDescriptor Descriptor { get; } = descriptor;

        public HashSet<PciAddress> Open { get; } = [];
    }
}
