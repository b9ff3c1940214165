namespace BarBroker.Client;

/// <summary>Why a lease ended.</summary>
public enum LeaseEndReason
{
    /// <summary>The kernel took the memory back, and the broker's reason did not get here.</summary>
    Unknown = 0,

    /// <summary>Its holder released it.</summary>
    Released = 1,

    /// <summary>An administrator revoked it.</summary>
    Revoked = 2,

    /// <summary>The connection to the broker ended, and every lease of it.</summary>
    ConnectionClosed = 3,

    /// <summary>The process that made the connection ended. Seen where a connection was inherited.</summary>
    ProcessExited = 4,

    /// <summary>The device went away.</summary>
    DeviceGone = 5,

    /// <summary>The broker shut down.</summary>
    Shutdown = 6,

    /// <summary>Its time was over, and nobody had renewed it.</summary>
    Expired = 7,
}
