namespace BarBroker.Client;

/// <summary>The broker sent a descriptor, and this process did not get it. The lease it belongs to is of no use and should be released.</summary>
public sealed class DescriptorLostException(string message) : IOException(message);
