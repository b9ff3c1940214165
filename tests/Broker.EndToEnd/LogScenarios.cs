using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>Whoever reads the log, or does not, decides nothing.</summary>
[Trait(Only.Machine, Only.Host)]
public sealed class LogScenarios
{
    /// <summary>Two lines each: more than the queue's 2,500 and what a pipe takes, some 400.</summary>
    private const int Leases = 2048;

    [Fact]
    public async Task A_log_that_nobody_reads_holds_up_neither_clients_nor_a_revoke()
    {
        await using StressBench bench = await StressBench.StartAsync(isHeard: false);
        const int Connections = 4;
        const int Calls = 64;
        ProbeStress stress = new(Connections, Calls, Rounds: Leases / (Connections * Calls));
        Assert.StartsWith("0 refused", (await bench.Alice.AskAsync(bench.RequestOf(Users.Alice, ProbeOperation.StressAcquire, stress))).Text, StringComparison.Ordinal);

        // Nobody has read any of it: now an admin, and others.
        await bench.UntilLeasesAsync(static leases => leases == 0);
        await bench.Admin.CallAsync(bench.Broker.AdminSocket, "barbroker.v1.Admin/Revoke", """{"all": true}""");
        Assert.StartsWith("0 refused", (await bench.Alice.AskAsync(bench.RequestOf(Users.Alice, ProbeOperation.StressAcquire, stress with { Rounds = 1 }))).Text, StringComparison.Ordinal);
    }
}
