namespace BarBroker.Client;

/// <summary>How the CPU reaches a lease's memory, as its page table really says.</summary>
public enum MemoryType
{
    /// <summary>A kind that this version of the SDK does not know.</summary>
    Unknown = 0,

    /// <summary>Every access goes to the device, in order.</summary>
    Uncached = 1,

    /// <summary>Ordinary memory: the simulated device only.</summary>
    Cached = 2,

    /// <summary>
    /// Stores may be gathered into larger ones and reach the device late and out of order, until a fence (<see cref="MappedBar.WriteFence"/>);
    /// loads may be made ahead of time. For memory such as frame buffers and queues; hardly ever for registers.
    /// </summary>
    WriteCombining = 3,
}
