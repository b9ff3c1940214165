namespace BarBroker.Leases;

/// <summary>Why a lease ended.</summary>
internal enum EndReason
{
    /// <summary>Its holder gave it back, or gave up before it had it.</summary>
    Released,

    /// <summary>An admin took it.</summary>
    Revoked,

    /// <summary>The connection that it belongs to ended.</summary>
    ConnectionClosed,

    /// <summary>The process that made the connection ended.</summary>
    ProcessExited,

    /// <summary>The device went away.</summary>
    DeviceGone,

    /// <summary>The broker is shutting down.</summary>
    Shutdown,

    /// <summary>Its time was over.</summary>
    Expired,
}
