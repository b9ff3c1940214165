namespace BarBroker.Client;

/// <summary>What a lease is to be like.</summary>
public sealed record AcquireOptions
{
    /// <summary>What is to be done with the memory.</summary>
    public required LeaseAccess Access { get; init; }

    /// <summary>
    /// Drivers of other devices are to be able to attach to <see cref="BarLease.Descriptor"/>, a DMABUF, and have their devices access the
    /// range: peer-to-peer DMA. Takes <see cref="LeaseAccess.ReadWrite"/>, a single range, and a grant that allows it. Revoking such a
    /// lease, and suspending its device, waits until the other drivers have stopped; and whoever holds the descriptor can hold a suspend
    /// up by a fence of its own, so pass it on only to who needs it.
    /// </summary>
    public bool P2P { get; init; }

    /// <summary>
    /// How long the lease is to live unless it is renewed (<see cref="BarLease.RenewAsync"/>): a process that hangs then holds the range no longer. More than 0; cut to
    /// what the grant allows. Null: as long as the grant allows, for ever if it says nothing.
    /// </summary>
    public TimeSpan? LeaseTime { get; init; }
}
