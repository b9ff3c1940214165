using System.Diagnostics;

namespace BarBroker.EndToEnd;

/// <summary>Processes end, with and without a word.</summary>
public sealed class DeathScenarios(Machine machine)
{
    private static readonly TimeSpan WithinASecond = TimeSpan.FromSeconds(1) * Patience.Slowness;

    [Fact]
    public async Task A_killed_clients_range_can_be_leased_again_within_a_second()
    {
        await using ProbeProcess victim = ProbeProcess.Start(Users.Alice);
        Client alice = await victim.ConnectAsync(machine.Broker.ClientSocket);
        ClientLease left = await alice.AcquireAsync("left");
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        await Assert.ThrowsAsync<ProbeException>(() => bob.AcquireAsync("middle"));

        // By the broker's own word: asking again and again would measure the asking.
        Task ended = machine.Broker.HearEndOfAsync(left.Properties.Id);
        long killed = Stopwatch.GetTimestamp();
        await victim.KillAsync();
        await ended;
        Assert.InRange(Stopwatch.GetElapsedTime(killed), TimeSpan.Zero, WithinASecond);
        await bob.AcquireAsync("middle");
    }

    [Fact]
    public async Task A_broker_that_is_told_to_stop_ends_every_lease()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();

        Assert.Equal(0, await machine.Broker.StopAsync());
        await IsRevokedAsync(left);
        Assert.Equal("Shutdown", await left.EndAsync());
        await IsServingAgainAsync();
    }

    // The simulated device revokes nothing when its broker is killed outright: only the kernel does.
    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_killed_broker_takes_every_lease_with_it()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");
        ClientLease right = await bob.AcquireAsync("right");
        await left.MapAsync();
        await right.MapAsync();

        await machine.Broker.KillAsync();
        await IsRevokedAsync(left);
        await IsRevokedAsync(right);
        await IsServingAgainAsync();
    }

    private static async Task IsRevokedAsync(ClientLease lease)
    {
        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
    }

    /// <summary>What the ended broker held is free for the next one.</summary>
    private async Task IsServingAgainAsync()
    {
        await machine.RestartBrokerAsync();
        await using Client again = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await again.AcquireAsync("left");
        await left.MapAsync();
        Assert.Equal(Machine.Identification, await left.ReadAsync(0));
    }
}
