namespace BarBroker.Hosting;

/// <summary>The broker can't start. The message says what is in the way, and what to do about it.</summary>
internal sealed class StartException(string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>How the command ends.</summary>
    public int ExitCode { get; init; } = ExitCodes.Failure;

    /// <summary>A device is not there, or not bound to vfio-pci: the kernel tells when that changes, which it does of no other cause.</summary>
    public bool IsAbsent { get; init; }
}
