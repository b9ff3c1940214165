using System.Collections.Immutable;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>Whom a line of the policy is for.</summary>
internal abstract record Principal
{
    /// <summary>What a peer has to be, all of it. Itself, if that is one thing.</summary>
    public virtual ImmutableArray<Principal> Members => [this];

    /// <summary>
    /// The higher, the more specific: whoever names a user before who names none, then whoever names a unit, then whoever names more groups.
    /// </summary>
    public abstract int Specificity { get; }

    /// <summary>The peer is meant.</summary>
    public abstract bool Matches(PeerCredentials peer);
}

/// <summary>Processes that connected with this effective user id.</summary>
/// <param name="Uid">The number that counts.</param>
/// <param name="Name">The name that the file has instead, if it has.</param>
internal sealed record UserPrincipal(uint Uid, string? Name = null) : Principal
{
    /// <inheritdoc/>
    public override int Specificity => 64;

    /// <inheritdoc/>
    public override bool Matches(PeerCredentials peer) => peer.Uid == Uid;

    /// <inheritdoc/>
    public override string ToString() => Name is null ? $"uid {Uid}" : $"user {Name} (uid {Uid})";
}

/// <summary>Processes that had this group when they connected, as their own or a supplementary one.</summary>
/// <param name="Gid">The number that counts.</param>
/// <param name="Name">The name that the file has instead, if it has.</param>
internal sealed record GroupPrincipal(uint Gid, string? Name = null) : Principal
{
    /// <inheritdoc/>
    public override int Specificity => 1;

    /// <inheritdoc/>
    public override bool Matches(PeerCredentials peer) => peer.Gid == Gid || peer.Groups.Contains(Gid);

    /// <inheritdoc/>
    public override string ToString() => Name is null ? $"gid {Gid}" : $"group {Name} (gid {Gid})";
}

/// <summary>Processes that were in this unit of the system manager when they connected.</summary>
internal sealed record UnitPrincipal(string Unit) : Principal
{
    // More than as many groups as an allOf can have.
    /// <inheritdoc/>
    public override int Specificity => 32;

    /// <inheritdoc/>
    public override bool Matches(PeerCredentials peer) => peer.Unit == Unit;

    /// <inheritdoc/>
    public override string ToString() => $"unit {Unit}";
}

/// <summary>Processes that are all of these.</summary>
internal sealed record AllOfPrincipal(ImmutableArray<Principal> Parts) : Principal
{
    /// <inheritdoc/>
    public override ImmutableArray<Principal> Members => Parts;

    /// <inheritdoc/>
    public override int Specificity { get; } = Parts.Sum(part => part.Specificity);

    /// <inheritdoc/>
    public override bool Matches(PeerCredentials peer)
    {
        foreach (Principal part in Parts)
        {
            if (!part.Matches(peer))
            {
                return false;
            }
        }

        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(" and ", Parts);
}
