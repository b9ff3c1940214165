using System.Collections.Frozen;
using BarBroker.Unix;

namespace BarBroker.Policy;

internal enum MemberKind : byte
{
    User,
    Unit,
    Group,
}

/// <summary>One thing that a process can be.</summary>
/// <param name="Kind">What sort of thing.</param>
/// <param name="Id">The uid, the gid, or the unit's number in the index.</param>
internal readonly record struct Member(MemberKind Kind, uint Id);

/// <summary>Of which grants a bucket is.</summary>
/// <param name="Slot">What they grant: a selector of windows, or a BAR.</param>
/// <param name="Member">What they demand of a peer.</param>
internal readonly record struct BucketKey(int Slot, Member Member);

/// <summary>What a peer is, as far as buckets are made of it: of dozens of groups one or two, as a rule.</summary>
internal static class PeerMembers
{
    /// <summary>As many as are kept on the stack.</summary>
    public const int Usual = 64;

    /// <summary>So many there can be.</summary>
    public static int CountMost(PeerCredentials peer) => 3 + peer.Groups.Length;

    /// <summary>Writes those that are <paramref name="known"/> into <paramref name="room"/>, and returns them.</summary>
    public static ReadOnlySpan<Member> Find(PeerCredentials peer, uint? unit, FrozenSet<Member> known, Span<Member> room)
    {
        int count = 0;
        Add(new Member(MemberKind.User, peer.Uid), known, room, ref count);
        Add(new Member(MemberKind.Group, peer.Gid), known, room, ref count);
        if (unit is { } number)
        {
            Add(new Member(MemberKind.Unit, number), known, room, ref count);
        }

        foreach (uint gid in peer.Groups)
        {
            if (gid != peer.Gid)
            {
                Add(new Member(MemberKind.Group, gid), known, room, ref count);
            }
        }

        return room[..count];
    }

    private static void Add(Member member, FrozenSet<Member> known, Span<Member> room, ref int count)
    {
        if (known.Contains(member))
        {
            room[count++] = member;
        }
    }
}
