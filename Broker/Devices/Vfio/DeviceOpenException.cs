namespace BarBroker.Devices.Vfio;

/// <summary>A device could not be taken over. The message says what is in the way and what to do about it.</summary>
public sealed class DeviceOpenException(string message, Exception? innerException = null) : Exception(message, innerException);
