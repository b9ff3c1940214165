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

    /// <summary>More than what the runtime has open for itself, and less than one connection can have leases at once.</summary>
    private const int HardlyAny = 70;

    private const string Sentence = "descriptors that may be under way to clients are";

    [Fact]
    public async Task Descriptors_that_nobody_reads_are_bounded_and_cost_others_at_most_a_refusal_that_says_so()
    {
        await using StressBench bench = await StressBench.StartAsync(Users.Broker, DescriptorLimit);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        ProbeRequest innocent = bench.RequestOf(
            Users.Bob, ProbeOperation.StressAcquire, new ProbeStress(Connections: 2, Calls: 4, Rounds: 4, Tolerated: "TOO_MANY_DESCRIPTORS"));

        // Within what may be under way: nobody is the worse for it.
        await AskAliceAsync(bench, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 40));
        await bench.UntilLeasesAsync(leases => leases == 40);
        Assert.StartsWith("0 refused", (await bob.AskAsync(innocent)).Text, StringComparison.Ordinal);

        // Up to it, in steps: each lease that is being made takes descriptors of the broker's own as well, for a moment.
        int granted = 40;
        for (; granted < 1000; granted += 320)
        {
            await AskAliceAsync(bench, ProbeOperation.StressStopReading, new ProbeStress(Connections: 4, Calls: 80), firstPage: (ulong)granted);
            await bench.UntilLeasesAsync(leases => leases == granted + 320);
        }

        // Beyond it, until it shows: then nothing is left for Bob, and that is what he is told.
        await AskAliceAsync(bench, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 90), firstPage: (ulong)granted);
        int rounds = 0;
        do
        {
            Assert.InRange(++rounds, 0, 100);
        }
        while ((await bob.AskAsync(innocent)).Text!.StartsWith("0 refused", StringComparison.Ordinal));

        // What was promised to Alice comes, the rest was refused in the same words.
        ProbeReply read = await AskAliceAsync(bench, ProbeOperation.StressReadOn, new ProbeStress(0, 0));
        string[] refusals = read.Text!.Split('\n');
        Assert.Equal(granted + 90, (int)read.Value + refusals.Length);
        Assert.All(refusals, refusal => Assert.Contains(Sentence, refusal, StringComparison.Ordinal));

        // Whoever reads makes room for all.
        Assert.StartsWith("0 refused", (await bob.AskAsync(innocent)).Text, StringComparison.Ordinal);
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
        await AskAliceAsync(bench, ProbeOperation.StressStopReading, new ProbeStress(Connections: 1, Calls: 90));

        // Each simulated lease takes one descriptor of the broker's, and one is on its way.
        ProbeReply read = await AskAliceAsync(bench, ProbeOperation.StressReadOn, new ProbeStress(0, 0));
        string[] refusals = read.Text!.Split('\n');
        Assert.Equal(90, (int)read.Value + refusals.Length);
        Assert.All(refusals, refusal => Assert.True(
            refusal.Contains("no memory or no files left", StringComparison.Ordinal) || refusal.Contains(Sentence, StringComparison.Ordinal), refusal));

        await bench.IsAsItWasAsync();
        Assert.StartsWith(
            "0 refused",
            (await AskAliceAsync(bench, ProbeOperation.StressAcquire, new ProbeStress(Connections: 1, Calls: 16))).Text,
            StringComparison.Ordinal);
    }

    private static Task<ProbeReply> AskAliceAsync(StressBench bench, ProbeOperation operation, ProbeStress stress, ulong firstPage = 0) =>
        bench.Alice.AskAsync(bench.RequestOf(Users.Alice, operation, stress) with { Offset = firstPage * Machine.Page });
}
