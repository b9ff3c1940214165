using BarBroker.Devices;
using BarBroker.Leases;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class RangeTreeTests
{
    private const int Pages = 64;

    [Fact]
    public void The_tree_finds_an_overlap_exactly_where_a_list_would()
    {
        Gen<(int Page, int Length, bool Remove)> step =
            from page in Gen.Choose(0, Pages - 1)
            from length in Gen.Choose(1, 12)
            from remove in Gen.Elements(false, false, true)
            select (page, length, remove);

        Prop.ForAll(step.ArrayOf().ToArbitrary(), BehavesLikeAList).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Removing_what_is_not_there_is_an_error()
    {
        RangeTree tree = new();
        tree.Add(Held(1, Ranges.Of(0, 4, 1)));

        Assert.Throws<InvalidOperationException>(() => tree.Remove(Held(2, Ranges.Of(0, 4, 1))));
    }

    private static bool BehavesLikeAList((int Page, int Length, bool Remove)[] steps)
    {
        RangeTree tree = new();
        List<HeldRange> list = [];
        ulong id = 0;
        foreach ((int page, int length, bool remove) in steps)
        {
            if (remove && list.Count > 0)
            {
                HeldRange victim = list[page % list.Count];
                tree.Remove(victim);
                list.Remove(victim);
            }
            else
            {
                HeldRange held = Held(++id, Ranges.Of(0, (ulong)page, (ulong)length));
                tree.Add(held);
                list.Add(held);
            }

            for (ulong probe = 0; probe < Pages + 12; probe++)
            {
                BarRange range = Ranges.Of(0, probe, 1 + (probe % 3));
                HeldRange? found = tree.FindOverlap(range);
                bool right = found is { } held ? list.Contains(held) && held.Range.Overlaps(range) : !list.Exists(held => held.Range.Overlaps(range));
                if (!right)
                {
                    return false;
                }
            }
        }

        return true;
    }

    private static HeldRange Held(ulong id, BarRange range)
    {
        LeaseRequest request = new(new FakeBarDevice(), null, RangeList.Of(range), ExportOptions.ReadOnly, true);
        return new HeldRange(new Lease(new LeaseId(id), request, new LeaseHolder(new FakeConnection()), default), range);
    }
}
