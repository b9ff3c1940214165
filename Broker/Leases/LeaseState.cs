namespace BarBroker.Leases;

/// <summary>Where a lease is in its life. In every state but the last it holds its range.</summary>
internal enum LeaseState
{
    /// <summary>The range is taken; the kernel is making the lease.</summary>
    Reserved,

    /// <summary>Its holder has it.</summary>
    Active,

    /// <summary>Its holder has it, and was told when it ends.</summary>
    Noticed,

    /// <summary>It is being taken away: the kernel has not confirmed yet that nobody reaches the range through it.</summary>
    Ending,

    /// <summary>The kernel could not confirm it. The range is held back until a later attempt succeeds.</summary>
    Quarantined,

    /// <summary>Over: the range is free.</summary>
    Ended,
}
