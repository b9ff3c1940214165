namespace BarBroker.Leases;

/// <summary>How much of the broker one client, one user and all of them can take.</summary>
internal sealed record LeaseLimits
{
    /// <summary>Far above what a driver in user space needs, low enough that a leak shows.</summary>
    public int PerConnection { get; init; } = 1024;

    /// <summary>Several busy processes of one user; one user alone can't use up <see cref="Total"/>.</summary>
    public int PerUser { get; init; } = 8192;

    /// <summary>What one REVOKE of the kernel module takes (BAR_LEASE_MAX_IDS): revoking everything stays one step.</summary>
    public int Total { get; init; } = 65536;

    /// <summary>
    /// Events that wait for a watcher. As many as a connection has leases: a watcher that kept up until then
    /// hears the reason of each even when all are revoked at once.
    /// </summary>
    public int EventsPerWatch { get; init; } = 1024;
}
