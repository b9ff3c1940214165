namespace BarBroker.EndToEnd;

/// <summary>Where a scenario means something. Without this trait: everywhere, and the simulated device has to behave as the kernel does.</summary>
internal static class Only
{
    internal const string Machine = "machine";

    /// <summary>Behaviour that the simulated device doesn't have, or a device that is not simulated.</summary>
    internal const string Real = "real";
}
