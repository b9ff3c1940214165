namespace BarBroker.Devices.Vfio;

/// <summary>A device could not be taken over. The message says what is in the way and what to do about it.</summary>
public sealed class DeviceOpenException(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>Nothing is wrong with it: another process has it.</summary>
    public bool IsInUse { get; init; }

    /// <summary>It is not there, or not bound to vfio-pci: the kernel tells when that changes, which it does of no other cause.</summary>
    public bool IsAbsent { get; init; }
}

/// <summary>No device of this machine can be leased while it runs this kernel. The message says, in one sentence, what the kernel lacks.</summary>
public sealed class UnfitKernelException(string message) : Exception(message);
