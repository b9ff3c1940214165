using System.Diagnostics;

namespace BarBroker.EndToEnd;

/// <summary>Processes end without a word.</summary>
public sealed class DeathScenarios(Machine machine)
{
    private static readonly TimeSpan WithinASecond = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task A_killed_clients_range_can_be_leased_again_within_a_second()
    {
        await using ProbeProcess victim = ProbeProcess.Start(Users.Alice);
        Client alice = await victim.ConnectAsync(machine.Broker);
        await alice.AcquireAsync("left");
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        await Assert.ThrowsAsync<ProbeException>(() => bob.AcquireAsync("middle"));

        long killed = Stopwatch.GetTimestamp();
        await victim.KillAsync();
        await Eventually.AcquireAsync(bob, "middle");
        Assert.InRange(Stopwatch.GetElapsedTime(killed), TimeSpan.Zero, WithinASecond);
    }
}

/// <summary>The broker is killed. Apart, because only one broker at a time can have the real devices.</summary>
[Trait(Only.Machine, Only.Real)]
public sealed class BrokerDeathScenarios(Machine machine)
{
    [Fact]
    public async Task A_killed_broker_takes_every_lease_with_it()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");
        ClientLease right = await bob.AcquireAsync("right");
        await left.MapAsync();
        await right.MapAsync();

        await machine.KillBrokerAsync();
        foreach (ClientLease lease in (ClientLease[])[left, right])
        {
            ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0));
            Assert.Equal("LeaseRevokedException", revoked.Error.Type);
        }

        // The device is free for the next broker.
        await machine.RestartBrokerAsync();
        await using Client again = await machine.ConnectAsync(Users.Alice);
        ClientLease second = await again.AcquireAsync("left");
        await second.MapAsync();
        Assert.Equal(Machine.Identification, await second.ReadAsync(0));
    }
}
