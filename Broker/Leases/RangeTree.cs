using BarBroker.Devices;

namespace BarBroker.Leases;

/// <summary>
/// The leases of one BAR in order of their offsets, overlapping or not. Adding, removing and finding an overlap take
/// O(log n): a treap in which every node knows how far the ranges below it reach.
/// </summary>
internal sealed class RangeTree
{
    private Node? _root;

    public void Add(Lease lease)
    {
        (Node? before, Node? after) = Split(_root, lease);
        _root = Merge(Merge(before, new Node(lease)), after);
    }

    public void Remove(Lease lease) => _root = Remove(_root, lease);

    /// <summary>A lease that shares a byte with <paramref name="range"/>; null when none does.</summary>
    public Lease? FindOverlap(BarRange range)
    {
        Node? node = _root;
        while (node is not null && !node.Lease.Range.Overlaps(range))
        {
            // If something on the left reaches beyond our start and yet does not overlap, it begins after our end, and
            // so does everything on the right.
            node = node.Left is { } left && left.Reach > range.Offset ? left : node.Right;
        }

        return node?.Lease;
    }

    private static int Compare(Lease left, Lease right)
    {
        int byOffset = left.Range.Offset.CompareTo(right.Range.Offset);
        return byOffset != 0 ? byOffset : left.Id.Value.CompareTo(right.Id.Value);
    }

    private static (Node? Before, Node? After) Split(Node? node, Lease at)
    {
        if (node is null)
        {
            return (null, null);
        }

        if (Compare(node.Lease, at) < 0)
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

    private static Node? Remove(Node? node, Lease lease)
    {
        if (node is null)
        {
            throw new InvalidOperationException($"Lease {lease.Id} is not in the tree.");
        }

        switch (Compare(lease, node.Lease))
        {
            case 0:
                return Merge(node.Left, node.Right);
            case < 0:
                node.Left = Remove(node.Left, lease);
                break;
            default:
                node.Right = Remove(node.Right, lease);
                break;
        }

        return node.Updated();
    }

    private sealed class Node(Lease lease)
    {
        public Lease Lease { get; } = lease;

        /// <summary>Random, so that no client can choose an order of requests that makes the tree deep.</summary>
        public int Priority { get; } = Random.Shared.Next();

        public Node? Left { get; set; }

        public Node? Right { get; set; }

        /// <summary>The highest end of any range from here downward.</summary>
        public ulong Reach { get; private set; } = lease.Range.End;

        public Node Updated()
        {
            Reach = Math.Max(Lease.Range.End, Math.Max(Left?.Reach ?? 0, Right?.Reach ?? 0));
            return this;
        }
    }
}
