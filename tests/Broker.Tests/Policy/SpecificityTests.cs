using System.Text;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class SpecificityTests
{
    private const string Uid = "\"uid\": 1";
    private const string Unit = "\"unit\": \"a.service\"";
    private const string Gid = "\"gid\": 2";
    private const string UidUnitGid = "\"allOf\": [{ \"gid\": 2 }, { \"uid\": 1 }, { \"unit\": \"a.service\" }]";
    private const string UidUnit = "\"allOf\": [{ \"uid\": 1 }, { \"unit\": \"a.service\" }]";
    private const string UidGidGid = "\"allOf\": [{ \"uid\": 1 }, { \"gid\": 2 }, { \"gid\": 3 }]";
    private const string UidGid = "\"allOf\": [{ \"gid\": 2 }, { \"uid\": 1 }]";
    private const string UnitGid = "\"allOf\": [{ \"gid\": 2 }, { \"unit\": \"a.service\" }]";
    private const string GidGid = "\"allOf\": [{ \"gid\": 2 }, { \"gid\": 3 }]";

    private static readonly PeerCredentials Peer = new(1, 2, [3], 1) { Unit = "a.service" };

    public static TheoryData<string, string> Principals => new()
    {
        { UidUnitGid, UidUnit },
        { UidUnit, UidGidGid },
        { UidGidGid, UidGid },
        { UidGid, Uid },
        { Uid, UnitGid },
        { UnitGid, Unit },
        { Unit, GidGid },
        { GidGid, Gid },
        { Uid, Gid },
    };

    public static TheoryData<string, string> Targets => new()
    {
        { "\"windows\": [\"w-1\"]", "\"windows\": [\"w-1*\"]" },
        { "\"windows\": [\"w-*\", \"w-1\"]", "\"windows\": [\"w-1*\"]" },
        { "\"windows\": [\"w-1*\"]", "\"windows\": [\"w-*\"]" },
        { "\"windows\": [\"w-?\"]", "\"windows\": [\"w-*\"]" },
    };

    public static TheoryData<string, string> Areas => new()
    {
        { Area(0, 2), Area(0, 3) },
        { Area(0, 1), Area(0, 2) },
        { $"{Area(0, 9)}, {Area(0, 1)}", Area(0, 2) },
    };

    [Theory]
    [MemberData(nameof(Principals))]
    public void Who_is_described_more_closely_comes_first(string more, string less)
        => AssertFirst(new WindowTarget("x", "w-1"), Grant(more, "\"windows\": [\"w-*\"]"), Grant(less, "\"windows\": [\"w-1\"]"));

    [Theory]
    [MemberData(nameof(Targets))]
    public void Of_one_principal_a_name_comes_before_a_pattern_and_a_pattern_that_fits_fewer_windows_before_one_that_fits_more(string more, string less)
        => AssertFirst(new WindowTarget("x", "w-1"), Grant(Gid, more), Grant(Gid, less));

    [Theory]
    [MemberData(nameof(Areas))]
    public void Of_one_principal_the_smaller_area_comes_first(string more, string less)
        => AssertFirst(Pages(0), Grant(Gid, $"\"areas\": [{more}]"), Grant(Gid, $"\"areas\": [{less}]"));

    [Fact]
    public void Of_ranges_the_areas_that_they_take_count_together_and_once()
    {
        // Two areas of 5 pages together against one of 10; that against two of 11, which overlap.
        string several = $"\"areas\": [{Area(0, 2)}, {Area(8, 3)}, {Area(0, 100)}]";

        AssertFirst(Pages(0, 1, 9), Grant(Gid, several), Grant(Gid, $"\"areas\": [{Area(0, 10)}]"));
        AssertFirst(Pages(0, 1, 9), Grant(Gid, $"\"areas\": [{Area(0, 10)}]"), Grant(Gid, $"\"areas\": [{Area(0, 6)}, {Area(5, 5)}]"));
    }

    [Fact]
    public void The_principal_comes_before_the_area()
        => AssertFirst(Pages(0), Grant(Uid, $"\"areas\": [{Area(0, 100)}]"), Grant(Gid, $"\"areas\": [{Area(0, 1)}]"));

    [Fact]
    public void Of_grants_alike_the_first_in_the_file_decides()
    {
        BrokerPolicy policy = Read(Grant(Gid, "\"windows\": [\"w-1\"]"), Grant("\"gid\": 3", "\"windows\": [\"w-1\"]"));

        Assert.Equal("grants[0]", Decide(policy, new WindowTarget("x", "w-1")));
    }

    [Fact]
    public void A_more_specific_grant_that_allows_less_leaves_the_decision_to_the_next()
    {
        BrokerPolicy policy = Read(Grant(Gid, "\"windows\": [\"w-*\"]", "read-write"), Grant(Uid, "\"windows\": [\"w-1\"]", "read-only"));

        Assert.Equal("grants[1]", Decide(policy, new WindowTarget("x", "w-1")));
        Assert.Equal("grants[0]", Decide(policy, new WindowTarget("x", "w-1"), LeaseAccess.ReadWrite));
    }

    [Theory]
    [InlineData(60)]
    [InlineData(61)]
    [InlineData(62)]
    [InlineData(65536)]
    public void Every_group_of_a_process_counts_however_many_there_are(int count)
    {
        PeerCredentials peer = new(7, 8, [.. Enumerable.Range(1000, count).Select(gid => (uint)gid)], 1);
        string[] grants = [.. Enumerable.Range(1000, count).Where(gid => gid < 1100 || gid == 999 + count).Select(gid => Grant($"\"gid\": {gid}", "\"windows\": [\"w-1\"]"))];

        Assert.Equal("grants[0]", Decide(Read(grants), new WindowTarget("x", "w-1"), peer: peer));
        Assert.Equal("grants[0]", Decide(Read(grants[^1]), new WindowTarget("x", "w-1"), peer: peer));
        Assert.Equal("grants[0]", Decide(Read(Grant($"\"gid\": {999 + count}", $"\"areas\": [{Area(0, 1)}]")), Pages(0), peer: peer));
    }

    /// <summary>The definition, grant by grant, against the index.</summary>
    [Fact]
    public void Every_decision_is_the_one_that_the_definition_gives()
    {
        Random random = new(20261127);
        int granted = 0;
        for (int round = 0; round < 200; round++)
        {
            BrokerPolicy policy = Read([.. Enumerable.Range(0, random.Next(1, 25)).Select(_ => RandomGrant(random))]);
            for (int i = 0; i < 50; i++)
            {
                PeerCredentials peer = new((uint)random.Next(3), (uint)random.Next(3), [.. Enumerable.Range(0, random.Next(3)).Select(_ => (uint)random.Next(4))], 1)
                {
                    Unit = random.Next(3) switch { 0 => "a.service", 1 => "b.service", _ => null },
                };
                LeaseTarget target = random.Next(2) == 0
                    ? new WindowTarget("x", $"w-{random.Next(14)}")
                    : Pages([.. Enumerable.Range(0, 12).OrderBy(_ => random.Next()).Take(random.Next(1, 4)).Select(page => (ulong)page)]);
                LeaseAccess access = random.Next(2) == 0 ? LeaseAccess.ReadOnly : LeaseAccess.ReadWrite;
                bool p2p = access == LeaseAccess.ReadWrite && random.Next(2) == 0;

                string expected = Define(policy, peer, target, access, p2p);

                Assert.Equal(expected, Decide(policy, target, access, p2p, peer));
                granted += expected.StartsWith("grants", StringComparison.Ordinal) ? 1 : 0;
            }
        }

        Assert.InRange(granted, 1000, 9000);
    }

    private static string Define(BrokerPolicy policy, PeerCredentials peer, LeaseTarget target, LeaseAccess access, bool p2p)
    {
        DeviceDefinition device = policy.Devices[0];
        Grant[] own = [.. device.Grants.Where(grant => grant.Principal.Matches(peer))];
        Grant[] fitting = [.. own.Where(grant => SizeOf(grant, target) is not null)];
        Grant? best = fitting.Where(grant => grant.Allows(access) && (!p2p || grant.P2P))
            .OrderByDescending(grant => RankOf(grant.Principal)).ThenBy(grant => SizeOf(grant, target)).FirstOrDefault();
        DenialReason reason =
            fitting.Any(grant => grant.Allows(access)) ? DenialReason.P2PNotGranted
            : fitting.Length > 0 ? DenialReason.AccessNotGranted
            : own.Length == 0 ? DenialReason.PeerHasNoGrant
            : target is RangeTarget ? DenialReason.RangeNotGranted
            : device.FindWindow(((WindowTarget)target).Window) is null ? DenialReason.WindowUnknown
            : DenialReason.WindowNotGranted;
        return best?.KeyPath ?? reason.ToString();
    }

    private static (bool User, bool Unit, int Groups) RankOf(Principal principal)
        => (principal.Members.Any(member => member is UserPrincipal), principal.Members.Any(member => member is UnitPrincipal), principal.Members.Count(member => member is GroupPrincipal));

    /// <summary>0 for a name; null where the grant does not fit.</summary>
    private static UInt128? SizeOf(Grant grant, LeaseTarget target) => target switch
    {
        WindowTarget { Window: var name } => grant.Windows.Where(selector => selector.Windows.Any(window => window.Name == name))
            .Select(selector => (UInt128?)(selector.IsPattern ? selector.Windows.Length : 0)).Min(),
        _ => grant.SizeOfAreasFor(((RangeTarget)target).Ranges),
    };

    private static string RandomGrant(Random random)
    {
        string[] members = [$"\"uid\": {random.Next(3)}", $"\"gid\": {random.Next(2)}", $"\"gid\": {random.Next(2, 4)}", $"\"unit\": \"{(random.Next(2) == 0 ? 'a' : 'b')}.service\""];
        random.Shuffle(members);
        string principal = random.Next(2) == 0 ? members[0] : $"\"allOf\": [{string.Join(", ", members.Take(random.Next(1, 5)).Select(member => $"{{ {member} }}"))}]";
        string[] selectors = ["w-*", "w-1*", "w-?", $"w-{random.Next(12)}"];
        random.Shuffle(selectors);
        string windows = string.Join(", ", selectors.Take(random.Next(0, 3)).Select(selector => $"\"{selector}\""));
        string areas = string.Join(", ", Enumerable.Range(0, random.Next(1, 4)).Select(_ => Area((ulong)random.Next(10), (ulong)random.Next(1, 8))));
        bool writes = random.Next(2) == 0;
        string access = writes ? "read-write" : "read-only";
        return Grant(principal, $"\"windows\": [{windows}], \"areas\": [{areas}]", access, writes && random.Next(2) == 0);
    }

    private static void AssertFirst(LeaseTarget target, string more, string less)
    {
        Assert.Equal("grants[0]", Decide(Read(more, less), target));
        Assert.Equal("grants[1]", Decide(Read(less, more), target));
    }

    private static string Decide(BrokerPolicy policy, LeaseTarget target, LeaseAccess access = LeaseAccess.ReadOnly, bool p2p = false, PeerCredentials? peer = null)
        => policy.Decide(peer ?? Peer, target, access, p2p) switch
        {
            Granted granted => granted.Grant.KeyPath,
            Denied denied => denied.Reason.ToString(),
            _ => throw new InvalidOperationException(),
        };

    private static RangeTarget Pages(params ulong[] pages) => new("x", Tests.Leases.Ranges.List([.. pages.Select(page => Tests.Leases.Ranges.Of(2, page, 1))]));

    private static string Area(ulong page, ulong pages) => $$"""{ "bar": 2, "offset": {{page * 4096}}, "length": {{pages * 4096}} }""";

    private static string Grant(string principal, string what, string access = "read-only", bool p2p = false)
        => $$"""{ {{principal}}, "device": "x", {{what}}, "access": "{{access}}", "p2p": {{(p2p ? "true" : "false")}} }""";

    private static BrokerPolicy Read(params string[] grants) => PolicyReader.Read(
        Encoding.UTF8.GetBytes($$"""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w-{0..11}": { "bar": 0, "offset": 0, "length": 4096, "stride": 4096 } } } },
              "grants": [ {{string.Join(",\n", grants)}} ] }
            """),
        "policy.json");
}
