namespace BarBroker.EndToEnd;

/// <summary>Where and when a scenario is run. Without these traits: everywhere, and the simulated device has to behave as the kernel does; always.</summary>
internal static class Only
{
    internal const string Machine = "machine";

    internal const string Length = "length";

    /// <summary>What takes a minute or more by itself.</summary>
    internal const string Long = "long";

    /// <summary>Behaviour that the simulated device doesn't have, or a device that is not simulated.</summary>
    internal const string Real = "real";

    /// <summary>
    /// What takes the distribution's packages, which the virtual machine doesn't have, or is the same whatever a lease is of: there it would
    /// take a second or more each, and show nothing new.
    /// </summary>
    internal const string Host = "host";

    /// <summary>
    /// What the simulated device shows in every run, and the virtual machine when it is asked for (<c>vm-scenarios</c>): it is decided before
    /// the kernel is asked, or the kernel's part of it is shown by another scenario that is always run there.
    /// </summary>
    internal const string Either = "either";
}
