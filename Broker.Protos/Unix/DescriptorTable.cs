namespace BarBroker.Unix;

/// <summary>This process's table of open descriptors.</summary>
internal static class DescriptorTable
{
    /// <summary>How many descriptors it takes (RLIMIT_NOFILE, soft); the kernel allows as many in flight to others.</summary>
    /// <exception cref="UnixException">The kernel does not say.</exception>
    internal static ulong GetLimit() => Libc.GetResourceLimit(Libc.ResourceDescriptors, out Libc.ResourceLimit limit) == 0
        ? limit.Current
        : throw UnixException.FromLastError("getrlimit RLIMIT_NOFILE");
}
