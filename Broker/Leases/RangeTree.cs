using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>One of the ranges of a lease.</summary>
internal readonly record struct HeldRange(Lease Lease, BarRange Range);

/// <summary>
/// The leased ranges of one BAR in order of their offsets, overlapping or not. Adding, removing and finding an overlap take
/// O(log n): a treap in which every node knows how far the ranges below it reach.
/// </summary>
internal sealed class RangeTree
{
    private Node? _root;

    public void Add(HeldRange held)
    {
        (Node? before, Node? after) = Split(_root, held);
        _root = Merge(Merge(before, new Node(held)), after);
    }

    public void Remove(HeldRange held) => _root = Remove(_root, held);

    /// <summary>A leased range that shares a byte with <paramref name="range"/>; null when none does.</summary>
    public HeldRange? FindOverlap(BarRange range)
    {
        Node? node = _root;
        while (node is not null && !node.Held.Range.Overlaps(range))
        {
            // If something on the left reaches beyond our start and yet does not overlap, it begins after our end, and
            // so does everything on the right.
            node = node.Left is { } left && left.Reach > range.Offset ? left : node.Right;
        }

        return node?.Held;
    }

    private static int Compare(HeldRange left, HeldRange right)
    {
        int byOffset = left.Range.Offset.CompareTo(right.Range.Offset);
        return byOffset != 0 ? byOffset : left.Lease.Id.Value.CompareTo(right.Lease.Id.Value);
    }

    private static (Node? Before, Node? After) Split(Node? node, HeldRange at)
    {
        if (node is null)
        {
            return (null, null);
        }

        if (Compare(node.Held, at) < 0)
        {
            (node.Right, Node? after) = Split(node.Right, at);
            return (node.Updated(), after);
        }

        (Node? before, node.Left) = Split(node.Left, at);
        return (before, node.Updated());
    }

    private static Node? Merge(Node? before, Node? after)
    {
        if (before is null || after is null)
        {
            return before ?? after;
        }

        if (before.Priority > after.Priority)
        {
            before.Right = Merge(before.Right, after);
            return before.Updated();
        }

        after.Left = Merge(before, after.Left);
        return after.Updated();
    }

    private static Node? Remove(Node? node, HeldRange held)
    {
        if (node is null)
        {
            throw new InvalidOperationException($"{held.Range} of lease {held.Lease.Id} is not in the tree.");
        }

        switch (Compare(held, node.Held))
        {
            case 0:
                return Merge(node.Left, node.Right);
            case < 0:
                node.Left = Remove(node.Left, held);
                break;
            default:
                node.Right = Remove(node.Right, held);
                break;
        }

        return node.Updated();
    }

    private sealed class Node(HeldRange held)
    {
        public HeldRange Held { get; } = held;

        /// <summary>Random, so that no client can choose an order of requests that makes the tree deep.</summary>
        public int Priority { get; } = Random.Shared.Next();

        public Node? Left { get; set; }

        public Node? Right { get; set; }

        /// <summary>The highest end of any range from here downward.</summary>
        public ulong Reach { get; private set; } = held.Range.End;

        public Node Updated()
        {
            Reach = Math.Max(Held.Range.End, Math.Max(Left?.Reach ?? 0, Right?.Reach ?? 0));
            return this;
        }
    }
}
