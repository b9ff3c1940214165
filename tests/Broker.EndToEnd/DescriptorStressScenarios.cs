using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>
/// Descriptors in band under stress. Of each the client checks that it has the inode that its reply names and is the page that was asked for, and
/// that no other lease has it; and after each scenario the broker has as many descriptors as before.
/// </summary>
[Trait(Only.Machine, Only.Host)]
public sealed class DescriptorStressScenarios(DescriptorStressScenarios.SharedBench shared) : IClassFixture<DescriptorStressScenarios.SharedBench>
{
    private StressBench Bench => shared.Bench;

    [Fact]
    public async Task Sixty_four_acquires_at_once_on_one_connection_each_get_their_own()
    {
        int rounds = 20 * StressBench.Rounds;
        Assert.Equal(64 * rounds, await AcquireAsync(new ProbeStress(Connections: 1, Calls: 64, rounds)));
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task Two_hundred_connections_each_get_their_own()
    {
        // Under way at once: not more than one user may have.
        int rounds = 4 * StressBench.Rounds;
        Assert.Equal(200 * 5 * rounds, await AcquireAsync(new ProbeStress(Connections: 200, Calls: 5, rounds)));
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task Beside_large_streams_on_the_same_connection_each_get_their_own()
    {
        int rounds = 10 * StressBench.Rounds;
        Assert.Equal(4 * 32 * rounds, await AcquireAsync(new ProbeStress(Connections: 4, Calls: 32, rounds, Streams: 8)));
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_client_that_reads_a_full_socket_byte_by_byte_gets_its_own()
    {
        for (int round = 0; round < StressBench.Rounds; round++)
        {
            ProbeReply reply = await AskAliceAsync(ProbeOperation.StressByteByByte, new ProbeStress(Connections: 1, Calls: 60, Streams: 36));
            Assert.Equal(60UL, reply.Value);
        }

        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_client_that_stops_reading_holds_up_nobody_and_finds_everything_when_it_reads_on()
    {
        await StopReadingAsync(connections: 8);
        await OthersGoOnAsync();

        Assert.Equal(8UL * 60, (await AskAliceAsync(ProbeOperation.StressReadOn, new ProbeStress(0, 0))).Value);
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_client_that_stops_reading_and_hangs_up_leaves_nothing_behind()
    {
        await StopReadingAsync(connections: 8);
        await AskAliceAsync(ProbeOperation.StressHangUp, new ProbeStress(0, 0));
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_client_without_room_for_descriptors_loses_those_calls_and_no_other()
    {
        const int Room = 10;
        const int Calls = 64;
        const int Attempts = 5;
        ProbeRequest request = Bench.RequestOf(Users.Alice, ProbeOperation.StressFullTable, new ProbeStress(Connections: 1, Calls)) with { Value = Room };

        // The runtime itself does not always live through it ("Out of memory."): then the broker must be none the worse, and another process is asked.
        ProbeReply? reply = null;
        for (int attempt = 1; reply is null; attempt++)
        {
            await using ProbeProcess cramped = ProbeProcess.Start(Users.Alice);
            try
            {
                reply = await cramped.AskAsync(request);
                await cramped.KillAsync();
            }
            catch (InvalidOperationException exception) when (attempt < Attempts && exception.Message.Contains("Out of memory.", StringComparison.Ordinal))
            {
                await Bench.IsAsItWasAsync();
            }
        }

        Assert.Equal((ulong)(Calls - Room), reply.Value);
        Assert.Equal($"{Room} taken", reply.Text);
        await Bench.IsAsItWasAsync();
    }

    [Fact]
    public async Task A_client_that_is_killed_while_descriptors_are_on_their_way_leaves_nothing_behind()
    {
        int kills = 3 * StressBench.Rounds;
        for (int kill = 0; kill < kills; kill++)
        {
            await using ProbeProcess victim = ProbeProcess.Start(Users.Alice);
            await victim.AskAsync(Bench.RequestOf(Users.Alice, ProbeOperation.StressForever, new ProbeStress(Connections: 8, Calls: 32, Streams: 2)));
            Task others = OthersGoOnAsync();

            // In the middle of something: the traffic has no rest.
            await victim.KillAsync();
            await others;
            await Bench.IsAsItWasAsync();
        }
    }

    private async Task<int> AcquireAsync(ProbeStress stress) => (int)(await AskAliceAsync(ProbeOperation.StressAcquire, stress)).Value;

    private Task<ProbeReply> AskAliceAsync(ProbeOperation operation, ProbeStress stress) => Bench.Alice.AskAsync(Bench.RequestOf(Users.Alice, operation, stress));

    /// <summary>Returns once the broker has made every lease that was asked for.</summary>
    private async Task StopReadingAsync(int connections)
    {
        await AskAliceAsync(ProbeOperation.StressStopReading, new ProbeStress(connections, Calls: 60, Streams: 36));
        await Bench.UntilLeasesAsync(leases => leases == connections * 60);
    }

    private async Task OthersGoOnAsync()
    {
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        ProbeReply reply = await bob.AskAsync(Bench.RequestOf(Users.Bob, ProbeOperation.StressAcquire, new ProbeStress(Connections: 4, Calls: 16, Rounds: 4)));
        Assert.Equal(4UL * 16 * 4, reply.Value);
    }

    /// <summary>The bench of all scenarios here: each leaves it as it was.</summary>
    public sealed class SharedBench : IAsyncLifetime
    {
        private StressBench? _bench;

        internal StressBench Bench => _bench!;

        /// <inheritdoc/>
        public async ValueTask InitializeAsync() => _bench = await StressBench.StartAsync();

        /// <inheritdoc/>
        public async ValueTask DisposeAsync() => await (_bench?.DisposeAsync() ?? ValueTask.CompletedTask);
    }
}
