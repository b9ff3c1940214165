using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>
/// A broker that is not root, to which the kernel counts what its clients have not read: past RLIMIT_NOFILE every send of a descriptor would
/// fail (ETOOMANYREFS), to whomever. It never comes to that.
/// </summary>
[Trait(Only.Machine, Only.Host)]
public sealed class DescriptorBudgetScenarios
{
    /// <summary>Half of it may be under way, an eighth to one user: so low that one client fills that.</summary>
    private const int DescriptorLimit = 2048;

    private const int MostOfOneUser = DescriptorLimit / 8;

    /// <summary>More than what the runtime has open for itself, and less than two clients can have leases at once.</summary>
    private const int HardlyAny = 70;

    [Fact]
    public async Task Descriptors_that_nobody_reads_are_bounded_and_cost_nobody_else_anything()
    {
        await using StressBench bench = await StressBench.StartAsync(Users.Broker, DescriptorLimit);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        ProbeRequest innocent = bench.RequestOf(Users.Bob, ProbeOperation.StressAcquire, new ProbeStress(Connections: 2, Calls: 4, Rounds: 4));

        // Within what may be under way, in steps: each lease that is being made takes descriptors of the broker's own as well, for a moment.
        int granted = 0;
        for (; granted < 200; granted += 40)
        {
            await AskAsync(bench, bench.Alice, Users.Alice, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 40), firstPage: (ulong)granted);
            await bench.UntilLeasesAsync(leases => leases == granted + 40);
        }

        // Beyond it.
        await AskAsync(bench, bench.Alice, Users.Alice, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 90), firstPage: (ulong)granted);
        await bench.UntilLeasesAsync(leases => leases == MostOfOneUser);
        Assert.StartsWith("0 refused", (await bob.AskAsync(innocent)).Text, StringComparison.Ordinal);

        // What was promised to Alice comes, the rest was refused in words.
        ProbeReply read = await AskAsync(bench, bench.Alice, Users.Alice, ProbeOperation.StressReadOn, new ProbeStress(0, 0));
        string[] refusals = read.Text!.Split('\n');
        Assert.Equal((MostOfOneUser, granted + 90 - MostOfOneUser), ((int)read.Value, refusals.Length));
        Assert.All(refusals, refusal => Assert.Contains("as many as one user may have", refusal, StringComparison.Ordinal));

        // Whoever reads has room again.
        Assert.StartsWith(
            "0 refused",
            (await AskAsync(bench, bench.Alice, Users.Alice, ProbeOperation.StressAcquire, new ProbeStress(Connections: 2, Calls: 64))).Text,
            StringComparison.Ordinal);
        await bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_broker_without_a_free_descriptor_refuses_in_words_and_serves_again_once_it_has_some()
    {
        int opened;
        await using (StressBench open = await StressBench.StartAsync(Users.Broker))
        {
            opened = open.Broker.CountDescriptors();
        }

        await using StressBench bench = await StressBench.StartAsync(Users.Broker, opened + HardlyAny);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        (ProbeProcess Probe, int User)[] clients = [(bench.Alice, Users.Alice), (bob, Users.Bob)];
        foreach ((ProbeProcess probe, int user) in clients)
        {
            await AskAsync(bench, probe, user, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 90));
        }

        // Each simulated lease takes one descriptor of the broker's, and one is on its way.
        List<string> refusals = [];
        foreach ((ProbeProcess probe, int user) in clients)
        {
            ProbeReply read = await AskAsync(bench, probe, user, ProbeOperation.StressReadOn, new ProbeStress(0, 0));
            string[] refused = read.Text!.Split('\n');
            Assert.Equal(90, (int)read.Value + refused.Length);
            refusals.AddRange(refused);
        }

        string[] sentences = ["no memory or no files left", "as many as one user may have", "descriptors that may be under way to clients are"];
        Assert.All(refusals, refusal => Assert.True(sentences.Any(sentence => refusal.Contains(sentence, StringComparison.Ordinal)), refusal));
        Assert.Contains(refusals, refusal => refusal.Contains(sentences[0], StringComparison.Ordinal));

        await bench.IsAsItWasAsync();
        Assert.StartsWith(
            "0 refused",
            (await AskAsync(bench, bench.Alice, Users.Alice, ProbeOperation.StressAcquire, new ProbeStress(Connections: 1, Calls: 16))).Text,
            StringComparison.Ordinal);
    }

    private static Task<ProbeReply> AskAsync(
        StressBench bench, ProbeProcess probe, int user, ProbeOperation operation, ProbeStress stress, ulong firstPage = 0)
    {
        ProbeRequest request = bench.RequestOf(user, operation, stress);
        return probe.AskAsync(request with { Offset = request.Offset + (firstPage * Machine.Page) });
    }
}
