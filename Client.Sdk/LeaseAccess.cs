namespace BarBroker.Client;

/// <summary>What the holder of a lease may do with the memory.</summary>
public enum LeaseAccess
{
    /// <summary>Loads only. The kernel refuses to map the descriptor for more.</summary>
    ReadOnly = 1,

    /// <summary>Loads and stores.</summary>
    ReadWrite = 2,
}
