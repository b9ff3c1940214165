using System.Globalization;
using BarBroker.Benchmarks;
using BarBroker.Client.Grpc;
using BarBroker.EndToEnd.Harness;
using BarBroker.Hostile.Attacks;
using BarBroker.V1;

namespace BarBroker.Hostile;

/// <summary>One broker, one well-behaved client, and one attack after another: quiet and attacked slices take turns, so that what else happens on the machine hits both.</summary>
internal static class Trial
{
    private const double MostRatio = 3;
    private const string Prefix = "bar_broker.wire.";
    private const int PairsOfSlices = 8;
    private const int FirstUser = 1700;

    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(500);

    /// <summary>What a slice leaves behind on both sides, closed connections above all, is to be gone before the next.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "{{Users.ClientGroup}}",
          "devices": {
            "board": {
              "simulated": { "bars": { "2": "1MiB" } },
              "windows": { "left": { "bar": 2, "offset": 0, "length": "64KiB" } }
            }
          },
          "grants": [
            { "uid": 0, "device": "board", "windows": ["left"], "access": "read-write" },
            { "gid": {{Users.ClientGroup}}, "device": "board", "areas": [{ "bar": 2, "offset": "512KiB", "length": "512KiB" }], "access": "read-only", "exclusive": false }
          ]
        }
        """;

    /// <summary>Prints a line for each, and the tally.</summary>
    /// <returns>Whether all passed.</returns>
    internal static async Task<bool> RunAsync(IReadOnlyList<Attack> attacks)
    {
        await using BrokerProcess broker = await BrokerProcess.StartAsync(Policy);
        await using UnixGrpcChannel admin = await UnixGrpcChannel.ConnectAsync(broker.AdminSocket, CancellationToken.None);
        await using Victim victim = await Victim.ConnectAsync(broker.ClientSocket);
        await victim.WorkAsync(Slice * 6, new Samples(), new Samples());
        int passed = 0;
        int user = FirstUser;
        foreach (Attack attack in attacks)
        {
            if (await TryAsync(attack, broker, admin, victim, user++))
            {
                passed++;
            }
        }

        Console.WriteLine($"{passed} passed, {attacks.Count - passed} failed");
        return passed == attacks.Count;
    }

    private static async Task<bool> TryAsync(Attack attack, BrokerProcess broker, UnixGrpcChannel admin, Victim victim, int user)
    {
        (Samples Calls, Samples Leases) quiet = (new(), new());
        (Samples Calls, Samples Leases) attacked = (new(), new());
        long before = await CountAsync(attack, admin);
        await using AttackerProcess attacker = AttackerProcess.Start(attack, broker.ClientSocket, user);
        await attacker.EndAsync();
        for (int pair = 0; pair < PairsOfSlices; pair++)
        {
            await victim.WorkAsync(Slice, quiet.Calls, quiet.Leases);
            await attacker.BeginAsync();
            await victim.WorkAsync(Slice, attacked.Calls, attacked.Leases);
            await attacker.EndAsync();
            await Task.Delay(Pause);
        }

        long hits = await CountAsync(attack, admin) - before;
        double ratio = Ratio(quiet.Calls, attacked.Calls);
        double leaseRatio = Ratio(quiet.Leases, attacked.Leases);
        bool isGood = hits > 0 && ratio <= MostRatio && leaseRatio <= MostRatio;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"hostile {attack.Name} p99_quiet_us={P99(quiet.Calls):0} p99_attacked_us={P99(attacked.Calls):0} ratio={ratio:0.00} lease_p99_quiet_us={P99(quiet.Leases):0} lease_p99_attacked_us={P99(attacked.Leases):0} lease_ratio={leaseRatio:0.00} calls={quiet.Calls.Count}+{attacked.Calls.Count} limit_hits={hits}{(isGood ? "" : "  FAILED")}"));
        return isGood;
    }

    private static double P99(Samples samples) => samples.PercentileNanoseconds(99) / 1000;

    private static double Ratio(Samples quiet, Samples attacked) => P99(attacked) / P99(quiet);

    private static async Task<long> CountAsync(Attack attack, UnixGrpcChannel admin)
    {
        GetCountersResponse response = await admin.UnaryAsync<GetCountersRequest, GetCountersResponse>("/barbroker.v1.Admin/GetCounters", new GetCountersRequest(), default);
        return response.Counters.Where(counter => counter.Name == Prefix + attack.Counter && attack.Kinds.Contains(counter.Tags["kind"])).Sum(counter => counter.Value);
    }
}
