namespace BarBroker.Devices;

/// <summary>A call into the kernel about the device does not return.</summary>
public sealed class DeviceStuckException(string device, string call, Exception? innerException = null)
    : Exception($"Device '{device}' is stuck: the kernel does not return from '{call}'.", innerException);

/// <summary>The device can't be suspended in the way that was asked for.</summary>
public sealed class SuspendUnsupportedException(string device, string why)
    : Exception($"Device '{device}' can't be suspended in this way: {why}.");

/// <summary>The device can't be reset.</summary>
public sealed class ResetUnsupportedException(string device, string why)
    : Exception($"Device '{device}' can't be reset: {why}.");
