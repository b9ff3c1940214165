namespace BarBroker.Policy;

/// <summary>How much, and for how long, one user may hold under one grant. What is null has no limit here.</summary>
/// <param name="MaxLeases">At a time.</param>
/// <param name="MaxBytes">All leases together, at a time.</param>
/// <param name="MaxLeaseTime">How long a lease lives if it is not renewed.</param>
/// <param name="MaxRenewals">How often it can be renewed.</param>
internal sealed record GrantLimits(int? MaxLeases = null, ulong? MaxBytes = null, TimeSpan? MaxLeaseTime = null, int? MaxRenewals = null)
{
    public static GrantLimits None { get; } = new();
}
