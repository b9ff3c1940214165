using System.Buffers.Binary;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

// Through VFIO's view of the configuration space, which revokes and restores what it has exported along with the hardware.
internal sealed partial class VfioFunction
{
    private const int CommandRegister = 0x04;
    private const ushort CommandMemory = 0x2;
    private const ushort CommandBusMaster = 0x4;

    /// <summary>The control and status register, from the start of the power management capability (PCI Bus Power Management Interface Specification, section 3.2.4).</summary>
    private const int PowerControl = 0x4;
    private const ushort PowerStateMask = 0x3;
    private const ushort PowerStateD3Hot = 0x3;
    private const ushort PowerNoSoftReset = 0x8;
    private const ushort PowerEventStatus = 0x8000;

    /// <inheritdoc/>
    public bool CanReset => (GetInfo().Flags & VfioUapi.DeviceFlagsReset) != 0;

    /// <inheritdoc/>
    public bool CanSleep => PciCapabilities.Find(ReadConfiguration(), PciCapabilities.PowerManagement) is not null;

    /// <inheritdoc/>
    public bool SleepsWithoutReset => (ReadRegister(FindPowerControl()) & PowerNoSoftReset) != 0;

    /// <inheritdoc/>
    public void SetMemory(bool on)
    {
        ushort command = ReadRegister(CommandRegister);
        WriteRegister(CommandRegister, (ushort)(on ? command | CommandMemory : command & ~CommandMemory));
        ThrowUnlessMemory(on);
    }

    /// <inheritdoc/>
    public void SetSleep(bool asleep)
    {
        int register = FindPowerControl();

        // Writing the status of power events back would clear it.
        int control = ReadRegister(register) & ~PowerStateMask & ~PowerEventStatus;
        ushort state = asleep ? PowerStateD3Hot : (ushort)0;
        WriteRegister(register, (ushort)(control | state));
        if ((ReadRegister(register) & PowerStateMask) != state)
        {
            throw new IOException($"{address} was told to go into {(asleep ? "D3hot" : "D0")} and did not.");
        }

        if (!asleep)
        {
            ThrowUnlessMemory(true);
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        Ioctl.Call(device, VfioUapi.DeviceReset, 0, $"VFIO_DEVICE_RESET {address}");

        // The kernel restores the configuration, and bus mastering was off in it. That it stays so is too much to leave to a device's reset.
        ushort command = ReadRegister(CommandRegister);
        if ((command & CommandBusMaster) != 0)
        {
            WriteRegister(CommandRegister, (ushort)(command & ~CommandBusMaster));
        }
    }

    private int FindPowerControl() => PowerControl + (PciCapabilities.Find(ReadConfiguration(), PciCapabilities.PowerManagement)
        ?? throw new InvalidOperationException($"{address} has no power management capability."));

    private void ThrowUnlessMemory(bool on)
    {
        if (((ReadRegister(CommandRegister) & CommandMemory) != 0) != on)
        {
            throw new IOException($"{address} was told to {(on ? "answer" : "ignore")} memory requests and does not.");
        }
    }

    private ushort ReadRegister(int offset)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        return Files.ReadAt(device, bytes, ConfigurationAt(offset)) == bytes.Length
            ? BinaryPrimitives.ReadUInt16LittleEndian(bytes)
            : throw new IOException($"{address} has no configuration register 0x{offset:x2}.");
    }

    private void WriteRegister(int offset, ushort value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        Files.WriteAt(device, bytes, ConfigurationAt(offset));
    }

    private ulong ConfigurationAt(int offset) => GetRegion(VfioUapi.PciConfigRegionIndex).Offset + (ulong)offset;
}
