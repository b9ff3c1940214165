using System.Globalization;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>
/// A broker that is not root, to which the kernel counts what its clients have not read: past RLIMIT_NOFILE every send of a descriptor would
/// fail (ETOOMANYREFS), to whomever. It never comes to that.
/// </summary>
[Trait(Only.Machine, Only.Host)]
public sealed class DescriptorBudgetScenarios
{
    /// <summary>Low enough for a few clients to reach what may be under way, half of it, and so high that the other half holds a simulated lease for each, and the program.</summary>
    private const int DescriptorLimit = 2048;

    /// <summary>The least that a broker starts with: less than three users can have leases at once.</summary>
    private const int HardlyAny = 512;

    private const int UnderWay = DescriptorLimit / 2;
    private const int UnderWayOfUser = UnderWay / 4;

    /// <summary>Calls of each user who does not read, on four connections: more than one may have under way.</summary>
    private const int Calls = 4 * 70;

    private const string SentenceOfAll = "descriptors that may be under way to clients are";
    private const string SentenceOfUser = "descriptors are under way to clients of this user";

    [Fact]
    public async Task Descriptors_that_one_user_does_not_read_cost_the_others_nothing_and_those_of_many_at_most_a_refusal_that_says_so()
    {
        await using StressBench bench = await StressBench.StartAsync(Users.Broker, DescriptorLimit);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        ProbeRequest innocent = bench.RequestOf(
            Users.Bob, ProbeOperation.StressAcquire, new ProbeStress(Connections: 2, Calls: 4, Rounds: 4, Tolerated: "TOO_MANY_DESCRIPTORS"));

        // One takes what one may have, and asks for more: only that one is refused.
        await StopReadingAsync(bench, bench.Alice, Users.Alice);
        await bench.UntilRefusedAsync(Calls - UnderWayOfUser);
        await bench.UntilLeasesAsync(static leases => leases == UnderWayOfUser);
        Assert.StartsWith("0 refused", (await bob.AskAsync(innocent)).Text, StringComparison.Ordinal);

        // So do others, one after the other: each lease that is being made takes descriptors of the broker's own as well, for a moment.
        List<ProbeProcess> crowd = [];
        try
        {
            int takers = 1;
            foreach (int user in StressBench.Crowd)
            {
                crowd.Add(ProbeProcess.Start(user));
                await StopReadingAsync(bench, crowd[^1], user);
                await bench.UntilRefusedAsync(++takers * (Calls - UnderWayOfUser));
                await bench.UntilLeasesAsync(leases => leases == takers * UnderWayOfUser);
            }

            // Then nothing is left for Bob, and that is what he is told: never ETOOMANYREFS, which would end his connection.
            ProbeReply refused = await bob.AskAsync(innocent);
            Assert.False(refused.Text!.StartsWith("0 refused", StringComparison.Ordinal));

            // What was promised comes, the rest was refused in words.
            Assert.NotEqual(0, await ReadOnAsync(bench, bench.Alice, Users.Alice, Calls, SentenceOfUser));

            // Whoever reads makes room for all.
            Assert.StartsWith("0 refused", (await bob.AskAsync(innocent)).Text, StringComparison.Ordinal);
        }
        finally
        {
            foreach (ProbeProcess taker in crowd)
            {
                await taker.DisposeAsync();
            }
        }

        await bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_broker_without_a_free_descriptor_refuses_in_words_and_serves_again_once_it_has_some()
    {
        await using StressBench bench = await StressBench.StartAsync(Users.Broker, HardlyAny);

        // As many as each may have: all together more than there is room for, but room enough for each to connect.
        int calls = HardlyAny / 2 / 4;
        List<(ProbeProcess Probe, int User)> takers = [(bench.Alice, Users.Alice), .. StressBench.Crowd.Take(2).Select(static user => (ProbeProcess.Start(user), user))];
        foreach ((ProbeProcess probe, int user) in takers)
        {
            await probe.AskAsync(bench.RequestOf(user, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, calls)));
        }

        // Each simulated lease takes one descriptor of the broker's, and one is on its way.
        int refused = 0;
        foreach ((ProbeProcess probe, int user) in takers)
        {
            refused += await ReadOnAsync(bench, probe, user, calls, "no memory or no files left", SentenceOfAll);
        }

        Assert.NotEqual(0, refused);

        foreach ((ProbeProcess probe, _) in takers[1..])
        {
            await probe.DisposeAsync();
        }

        await bench.IsAsItWasAsync();
        Assert.StartsWith(
            "0 refused",
            (await AskAliceAsync(bench, ProbeOperation.StressAcquire, new ProbeStress(Connections: 1, Calls: 16))).Text,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connections_leave_the_last_descriptors_free_and_some_of_them_to_admins()
    {
        await using StressBench bench = await StressBench.StartAsync(Users.Broker, HardlyAny);
        List<Socket> silent = [];
        try
        {
            while (await CountRefusedConnectionsAsync(bench) == 0)
            {
                for (int i = 0; i < 16; i++)
                {
                    silent.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified));
                    await silent[^1].ConnectAsync(new UnixDomainSocketEndPoint(bench.Broker.ClientSocket), TestContext.Current.CancellationToken);
                }
            }

            // Whoever asks now is an admin, on a connection of its own.
            Assert.InRange(bench.Broker.CountDescriptors(), HardlyAny / 2, HardlyAny - 64);
            Assert.NotEqual(0, await CountRefusedConnectionsAsync(bench));
        }
        finally
        {
            silent.ForEach(static socket => socket.Dispose());
        }

        await bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_broker_that_may_have_too_few_descriptors_does_not_start_and_says_how_many_it_takes()
    {
        InvalidOperationException refused = await Assert.ThrowsAsync<InvalidOperationException>(() => StressBench.StartAsync(Users.Broker, HardlyAny - 1));
        Assert.Contains("This process may have 511 descriptors; a broker takes 512", refused.Message, StringComparison.Ordinal);
        Assert.Contains("LimitNOFILE=", refused.Message, StringComparison.Ordinal);
    }

    private static async Task<long> CountRefusedConnectionsAsync(StressBench bench)
    {
        JsonNode answer = await Buf.CallAsync(bench.Broker.AdminSocket, "barbroker.v1.Admin/GetCounters", "{}");
        JsonNode counter = answer["counters"]!.AsArray().Single(
            entry => (string?)entry!["name"] == "bar_broker.wire.connections.refused" && (string?)entry["tags"]!["kind"] == "no_descriptors")!;
        return long.Parse((string?)counter["value"] ?? "0", CultureInfo.InvariantCulture);
    }

    private static Task<ProbeReply> StopReadingAsync(StressBench bench, ProbeProcess probe, int user) =>
        probe.AskAsync(bench.RequestOf(user, ProbeOperation.StressStopReading, new ProbeStress(Connections: 4, Calls / 4)));

    /// <summary>Each call has brought its descriptor, or one of these sentences.</summary>
    /// <returns>How many were refused.</returns>
    private static async Task<int> ReadOnAsync(StressBench bench, ProbeProcess probe, int user, int calls, params string[] sentences)
    {
        ProbeReply read = await probe.AskAsync(bench.RequestOf(user, ProbeOperation.StressReadOn, new ProbeStress(0, 0)));
        string[] refusals = read.Text!.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(calls, (int)read.Value + refusals.Length);
        Assert.All(refusals, refusal => Assert.True(sentences.Any(sentence => refusal.Contains(sentence, StringComparison.Ordinal)), refusal));
        return refusals.Length;
    }

    private static Task<ProbeReply> AskAliceAsync(StressBench bench, ProbeOperation operation, ProbeStress stress) =>
        bench.Alice.AskAsync(bench.RequestOf(Users.Alice, operation, stress));
}
