using System.Collections.Immutable;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>What an admin may do.</summary>
[Flags]
internal enum AdminScopes
{
    None = 0,

    /// <summary>See devices, leases and their holders.</summary>
    View = 1,

    /// <summary>End leases by force.</summary>
    Revoke = 2,

    /// <summary>Suspend, resume and reset devices.</summary>
    Devices = 4,
}

/// <summary>A line of the policy: who may administrate what.</summary>
/// <param name="Principal">Who.</param>
/// <param name="Scopes">How. At least one.</param>
/// <param name="Devices">Which devices, by name; empty: all, and what is of no device.</param>
/// <param name="At">Where the file says so.</param>
/// <param name="KeyPath">The line's key, for the log.</param>
internal sealed record Admin(Principal Principal, AdminScopes Scopes, ImmutableArray<string> Devices, FilePosition At, string KeyPath)
{
    /// <summary>
    /// This line lets <paramref name="peer"/> do what is of <paramref name="scope"/> to <paramref name="device"/>, or to all there is when that is null.
    /// </summary>
    public bool Allows(PeerCredentials peer, AdminScopes scope, string? device)
        => Scopes.HasFlag(scope) && (Devices.IsEmpty || (device is not null && Devices.Contains(device))) && Principal.Matches(peer);
}
