using System.Globalization;
using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>
/// The broker is killed in the middle of whatever it does. BAR_BROKER_KILLS says how often, each of which takes half a minute or more under
/// emulation. BAR_BROKER_SEED repeats the choices, though not the timing.
/// </summary>
[Trait(Only.Machine, Only.Real)]
[Trait(Only.Length, Only.Long)]
public sealed class KillScenarios(Machine machine)
{
    /// <summary>What a broker has to have leased before it is killed, and how many milliseconds later that is: anywhere in the next call or two.</summary>
    private const int MostLeases = 16;

    private const int LongestPause = 50;

    private static readonly int Kills = NumberFrom("BAR_BROKER_KILLS") ?? 10;

    private static readonly int Seed = NumberFrom("BAR_BROKER_SEED") ?? Random.Shared.Next();

    [Fact]
    public async Task Whenever_it_is_killed_its_leases_are_over_and_the_next_broker_has_everything()
    {
        Console.WriteLine($"{Kills} kills, seed {Seed}");
        Random random = new(Seed);
        await machine.Broker.StopAsync();
        int users = BarLeaseModule.Users;
        await machine.RestartBrokerAsync();
        await using ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        await using ProbeProcess reader = ProbeProcess.Start(Users.Alice);
        await using ProbeProcess admin = ProbeProcess.Start(Users.Root);

        ulong held = 0;
        for (int kill = 1; kill <= Kills; kill++)
        {
            try
            {
                ProbeReply[] ends = await KillInTrafficAsync(random, [alice, bob, reader], admin);
                Console.WriteLine($"kill {kill}: {string.Join("; ", ends.Select(end => end.Text))}");
                held += ends.Aggregate(0UL, (sum, end) => sum + end.Value);
                await Patience.UntilAsync(() => BarLeaseModule.Users == users, () => $"the module has {BarLeaseModule.Users} users, not {users} as before");
            }
            finally
            {
                // Other scenarios want one, whatever became of this.
                await machine.RestartBrokerAsync();
            }

            await HasEverythingAsync();
        }

        Assert.True(held > 0, "No client held a lease at any kill: nothing was seen of what becomes of them.");
    }

    /// <returns>What each client of the board and of nvme saw of it.</returns>
    private async Task<ProbeReply[]> KillInTrafficAsync(Random random, ProbeProcess[] clients, ProbeProcess admin)
    {
        await Task.WhenAll(clients[0].AskAsync(OnBoard(random)), clients[1].AskAsync(OnBoard(random)), clients[2].AskAsync(OnNvme(random)));
        using CancellationTokenSource killed = new();
        Task revoking = RevokeWithoutRestAsync(admin, killed.Token);
        await machine.Broker.HearLeasesAsync(random.Next(1, MostLeases));
        await Task.Delay(random.Next(LongestPause), TestContext.Current.CancellationToken);

        await killed.CancelAsync();
        await machine.Broker.KillAsync();

        ProbeReply[] ends = await Task.WhenAll(clients.Select(client => client.AskAsync(new ProbeRequest { Operation = ProbeOperation.EndTraffic })));
        await revoking;
        return ends;
    }

    private static int? NumberFrom(string variable)
        => Environment.GetEnvironmentVariable(variable) is { } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;

    private ProbeRequest OnBoard(Random random) => new()
    {
        Operation = ProbeOperation.BeginTraffic,
        Socket = machine.Broker.ClientSocket,
        Device = Machine.Board,
        Bar = Machine.BoardBar,
        Offset = Machine.AreaOffset,
        Length = Machine.AreaLength,
        Writable = true,
        Value = (uint)random.Next(),
    };

    private ProbeRequest OnNvme(Random random) => OnBoard(random) with { Device = "nvme", Bar = 0, Offset = 0, Length = 2 * Machine.Page, Writable = false };

    /// <summary>Ends when the broker does, which it must not before it is killed.</summary>
    private async Task RevokeWithoutRestAsync(ProbeProcess admin, CancellationToken killed)
    {
        string[] targets = [$$"""{"uid": {{Users.Alice}}}""", $$"""{"device": "{{Machine.Board}}"}""", """{"device": "nvme"}""", $$"""{"uid": {{Users.Bob}}}"""];
        string socket = machine.Broker.AdminSocket;
        try
        {
            for (int next = 0; ; next++)
            {
                await admin.CallAsync(socket, "barbroker.v1.Admin/Revoke", targets[next % targets.Length]);
            }
        }
        catch (ProbeException) when (killed.IsCancellationRequested)
        {
        }
    }

    private async Task HasEverythingAsync()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease area = await alice.AcquireRangeAsync(Machine.AreaOffset, Machine.AreaLength);
        ClientLease nvme = await alice.AcquireRangeAsync(0, 2 * Machine.Page, writable: false, bar: 0, device: "nvme");
        await area.MapAsync();
        await nvme.MapAsync();
        Assert.Equal((int)(Machine.AreaLength / Machine.Page), await area.CountIdentifiedPagesAsync());
        await nvme.ReadAsync(0);
        Assert.Equal(2UL, LeaseSessionInfo.Of(machine.Broker).LeasesLive);
    }
}
