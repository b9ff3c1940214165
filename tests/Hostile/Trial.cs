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

    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(500);

    /// <summary>What a slice leaves behind on both sides, closed connections above all, is to be gone before the next.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "{{Users.ClientGroup}}",
          "devices": {
            "board": {
              "simulated": { "bars": { "2": "16MiB" } },
              "windows": { "left": { "bar": 2, "offset": 0, "length": "64KiB" } }
            }
          },
          "grants": [
            { "uid": 0, "device": "board", "windows": ["left"], "access": "read-write" },
            { "gid": {{Users.ClientGroup}}, "device": "board", "areas": [{ "bar": 2, "offset": "8MiB", "length": "8MiB" }], "access": "read-only", "exclusive": false }
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
            // What else happens on the machine may hit the attacked slices more often than the quiet ones, but hardly in twice as many again.
            Outcome outcome = await TryAsync(attack, PairsOfSlices, broker, admin, victim, user++);
            if (!outcome.IsGood)
            {
                Console.WriteLine($"{outcome}  once more, with twice the slices");
                outcome = await TryAsync(attack, 2 * PairsOfSlices, broker, admin, victim, user++);
            }

            Console.WriteLine($"{outcome}{(outcome.IsGood ? "" : "  FAILED")}");
            passed += outcome.IsGood ? 1 : 0;
        }

        Console.WriteLine($"{passed} passed, {attacks.Count - passed} failed");
        return passed == attacks.Count;
    }

    private static async Task<Outcome> TryAsync(Attack attack, int pairs, BrokerProcess broker, UnixGrpcChannel admin, Victim victim, int user)
    {
        Outcome outcome = new(attack.Name);
        long before = await CountAsync(attack, admin);
        await using AttackerProcess attacker = AttackerProcess.Start(attack, broker.ClientSocket, user);
        await attacker.EndAsync();
        for (int pair = 0; pair < pairs; pair++)
        {
            await victim.WorkAsync(Slice, outcome.QuietCalls, outcome.QuietLeases);
            await attacker.BeginAsync();
            await victim.WorkAsync(Slice, outcome.AttackedCalls, outcome.AttackedLeases);
            await attacker.EndAsync();
            await Task.Delay(Pause);
        }

        outcome.LimitHits = await CountAsync(attack, admin) - before;
        return outcome;
    }

    private static async Task<long> CountAsync(Attack attack, UnixGrpcChannel admin)
    {
        GetCountersResponse response = await admin.UnaryAsync<GetCountersRequest, GetCountersResponse>("/barbroker.v1.Admin/GetCounters", new GetCountersRequest(), default);
        return response.Counters.Where(counter => counter.Name == Prefix + attack.Counter && attack.Kinds.Contains(counter.Tags["kind"])).Sum(counter => counter.Value);
    }
}
