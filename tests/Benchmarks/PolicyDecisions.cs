using System.Diagnostics;
using System.Globalization;
using System.Text;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;

namespace BarBroker.Benchmarks;

/// <summary>What a decision costs under a policy of 10,000 grants: yes and no, for windows and ranges, for peers with few and many groups.</summary>
internal static class PolicyDecisions
{
    private const int Grants = 10_000;
    private const int Calls = 200_000;

    internal static void Run()
    {
        BrokerPolicy policy = PolicyReader.Read(Encoding.UTF8.GetBytes(Text()), "bench");
        PeerCredentials grouped = Peer(7, [.. Enumerable.Range(100, 31).Select(gid => (uint)gid), 2500]);

        Measure(policy, "window_of_user", i => (Peer(10_000 + (i % 2500)), new WindowTarget("x", $"w-{i % 2500}")));
        Measure(policy, "window_of_one_group_by_pattern", i => (Peer(7, [2000]), new WindowTarget("x", $"w-{i % 2500}")));
        Measure(policy, "window_of_one_of_32_groups", _ => (grouped, new WindowTarget("x", "w-2500")));
        Measure(policy, "window_of_user_in_unit", i => (Peer(10_000, [], $"driver@{i % 2500}.service"), new WindowTarget("x", "w-0")));
        Measure(policy, "range_of_group", i => (Peer(7, [3000]), new RangeTarget("x", Page(i % 2500))));
        Measure(policy, "window_denied_to_32_groups", _ => (grouped, new WindowTarget("x", "w-0")));
        Measure(policy, "peer_unknown", i => (Peer(1), new WindowTarget("x", $"w-{i % 2500}")));
    }

    private static void Measure(BrokerPolicy policy, string name, Func<int, (PeerCredentials Peer, LeaseTarget Target)> request)
    {
        (PeerCredentials Peer, LeaseTarget Target)[] requests = [.. Enumerable.Range(0, 10_000).Select(request)];
        Samples samples = new();
        int granted = 0;
        for (int i = -Calls; i < Calls; i++)
        {
            (PeerCredentials peer, LeaseTarget target) = requests[(i + Calls) % requests.Length];
            long start = Stopwatch.GetTimestamp();
            Decision decision = policy.Decide(peer, target, LeaseAccess.ReadOnly, p2p: false);
            long ticks = Stopwatch.GetTimestamp() - start;
            granted += decision is Granted ? 1 : 0;
            if (i >= 0)
            {
                samples.AddTicks(ticks);
            }
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"bench policy_decision case={name} grants={Grants} granted={(granted > 0 ? "yes" : "no")} p50_us={samples.PercentileNanoseconds(50) / 1000:0.00} p99_us={samples.PercentileNanoseconds(99) / 1000:0.00} calls={samples.Count}"));
    }

    /// <summary>A quarter each: users with a window, groups with patterns, a user in many units, a group with many areas.</summary>
    private static string Text()
    {
        IEnumerable<string> grants = Enumerable.Range(0, Grants / 4).SelectMany(i => (string[])
        [
            $$"""{ "uid": {{10_000 + i}}, "device": "x", "windows": ["w-{{i}}"], "access": "read-write" }""",
            $$"""{ "gid": {{2000 + (i % 1000)}}, "device": "x", "windows": ["{{(i % 1000 == 0 ? "w-*" : i % 1000 == 500 ? "w-2500" : $"w-{i}*")}}"], "access": "read-only" }""",
            $$"""{ "allOf": [{ "uid": 10000 }, { "unit": "driver@{{i}}.service" }], "device": "x", "windows": ["w-0"], "access": "read-write" }""",
            $$"""{ "gid": 3000, "device": "x", "areas": [{ "bar": 2, "offset": {{i * 8192}}, "length": 8192 }], "access": "read-only" }""",
        ]);
        return $$"""
            {
              "devices": { "x": { "address": "0000:01:00.0", "windows": { "w-{0..2500}": { "bar": 0, "offset": 0, "length": 4096, "stride": 4096 } } } },
              "grants": [{{string.Join(",\n", grants)}}]
            }
            """;
    }

    private static RangeList Page(int area)
        => BarRange.TryCreate(2, (ulong)area * 8192, 4096, out BarRange range) == RangeError.None ? RangeList.Of(range) : throw new InvalidOperationException();

    private static PeerCredentials Peer(int uid, uint[]? groups = null, string? unit = null) => new((uint)uid, (uint)uid, [.. groups ?? []], 1) { Unit = unit };
}
