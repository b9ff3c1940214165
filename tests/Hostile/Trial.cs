using System.Diagnostics;
using BarBroker.Benchmarks;
using BarBroker.Client.Grpc;
using BarBroker.EndToEnd.Harness;
using BarBroker.Hostile.Attacks;
using BarBroker.V1;

namespace BarBroker.Hostile;

/// <summary>One broker, one well-behaved client, and one attack after another: quiet and attacked slices take turns, so that what else happens on the machine hits both.</summary>
internal static class Trial
{
    private const string Prefix = "bar_broker.wire.";
    private const int PairsOfSlices = 8;
    private const int FirstUser = 1700;

    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(1);

    /// <summary>What a slice leaves behind on both sides, closed connections above all, is to be gone before the next.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "{{Users.ClientGroup}}",
          "devices": {
            "board": {
              "simulated": { "bars": { "2": "16MiB" } }
            }
          },
          "grants": [
            { "uid": 0, "device": "board", "areas": [{ "bar": 2, "offset": 0, "length": "8MiB" }], "access": "read-write" },
            { "gid": {{Users.ClientGroup}}, "device": "board", "areas": [{ "bar": 2, "offset": "8MiB", "length": "8MiB" }], "access": "read-only", "exclusive": false }
          ]
        }
        """;

    /// <summary>Prints a line for each, and the tally. The control has a line, and no place in the tally.</summary>
    /// <returns>Whether all passed.</returns>
    internal static async Task<bool> RunAsync(IReadOnlyList<Attack> attacks)
    {
        await using BrokerProcess broker = await BrokerProcess.StartAsync(Policy);
        await using UnixGrpcChannel admin = await UnixGrpcChannel.ConnectAsync(broker.AdminSocket, CancellationToken.None);
        await using Victim victim = await Victim.ConnectAsync(broker.ClientSocket);
        await victim.WorkAsync(Slice * 5, new Noticed());
        int passed = 0;
        int failed = 0;
        int user = FirstUser;
        foreach (Attack attack in attacks)
        {
            // What else happens on the machine may hit the attacked slices more often than the quiet ones, but hardly in twice as many again.
            (Outcome outcome, user) = await TryAsync(attack, PairsOfSlices, broker, admin, victim, user);
            if (attack is NoAttack)
            {
                Console.WriteLine(outcome);
                continue;
            }

            if (!outcome.IsGood)
            {
                Console.WriteLine($"{outcome}  once more, with twice the slices");
                (outcome, user) = await TryAsync(attack, 2 * PairsOfSlices, broker, admin, victim, user);
            }

            Console.WriteLine($"{outcome}{(outcome.IsGood ? "" : "  FAILED")}");
            passed += outcome.IsGood ? 1 : 0;
            failed += outcome.IsGood ? 0 : 1;
        }

        Console.WriteLine($"{passed} passed, {failed} failed");
        return failed == 0;
    }

    /// <returns>What came of it, and the first user that was not needed.</returns>
    private static async Task<(Outcome Outcome, int NextUser)> TryAsync(
        Attack attack, int pairs, BrokerProcess broker, UnixGrpcChannel admin, Victim victim, int user)
    {
        Outcome outcome = new(attack.Name);
        (long hits, long slowed) = await CountAsync(attack, admin);
        await using AttackerProcess attacker = AttackerProcess.Start(attack, broker.ClientSocket, user);
        await attacker.EndAsync();
        for (int pair = 0; pair < pairs; pair++)
        {
            await WorkAsync(victim, outcome.Quiet, broker);
            await attacker.BeginAsync();
            await WorkAsync(victim, outcome.Attacked, broker);
            await attacker.EndAsync();
            await Task.Delay(Pause);
        }

        (long hitsAfter, long slowedAfter) = await CountAsync(attack, admin);
        outcome.LimitHits = hitsAfter - hits;
        outcome.Slowed = slowedAfter - slowed;
        outcome.Users = attacker.NextUser - user;
        return (outcome, attacker.NextUser);
    }

    private static async Task WorkAsync(Victim victim, Noticed noticed, BrokerProcess broker)
    {
        using Process process = Process.GetProcessById(broker.ProcessId);
        TimeSpan used = process.TotalProcessorTime;
        long start = Stopwatch.GetTimestamp();
        await victim.WorkAsync(Slice, noticed);
        process.Refresh();
        noticed.ProcessorTime += process.TotalProcessorTime - used;
        noticed.Duration += Stopwatch.GetElapsedTime(start);
    }

    private static async Task<(long Hits, long Slowed)> CountAsync(Attack attack, UnixGrpcChannel admin)
    {
        GetCountersResponse response = await admin.UnaryAsync<GetCountersRequest, GetCountersResponse>("/barbroker.v1.Admin/GetCounters", new GetCountersRequest(), default);
        return (Sum(attack.Counter, attack.Kinds), Sum("reads.slowed", ["misuse"]));

        long Sum(string counter, IEnumerable<string> kinds)
            => response.Counters.Where(reading => reading.Name == Prefix + counter && kinds.Contains(reading.Tags["kind"])).Sum(reading => reading.Value);
    }
}
