using System.Collections.Immutable;

namespace BarBroker.Unix;

/// <summary>Who made a connection, as the kernel recorded it at <c>connect</c> (SO_PEERCRED, SO_PEERGROUPS; see unix(7)).</summary>
/// <param name="Uid">Effective user id, in the reader's user namespace.</param>
/// <param name="Gid">Effective group id.</param>
/// <param name="Groups">Supplementary groups, <paramref name="Gid"/> not necessarily among them.</param>
/// <param name="Pid">A label for people: pids are reused.</param>
public sealed record PeerCredentials(uint Uid, uint Gid, ImmutableArray<uint> Groups, int Pid)
{
    /// <summary>The service or scope of the system's service manager that the process was in; null when it was in none, or that can't be told.</summary>
    public string? Unit { get; init; }

    /// <summary>Whether the process has this one's user namespace: of another, its ids are what the reader sees them as.</summary>
    public UserNamespace UserNamespace { get; init; }
}

/// <summary>The user namespace of a process, beside one's own (user_namespaces(7)).</summary>
public enum UserNamespace
{
    /// <summary>It can't be told.</summary>
    Unknown,

    /// <summary>The same.</summary>
    Own,

    /// <summary>Another.</summary>
    Other,
}
