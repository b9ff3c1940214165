using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>Clients without a socket of their own below gRPC: a ticket, and a second connection that brings the descriptor.</summary>
public sealed class TicketScenarios(Machine machine)
{
    private string Socket => machine.Broker.ClientSocket;

    [Fact]
    public async Task A_ticket_brings_the_lease_to_the_process_that_redeems_it()
    {
        await using ProbeProcess acquirer = ProbeProcess.Start(Users.Alice);
        await using ProbeProcess redeemer = ProbeProcess.Start(Users.Alice);
        WaitingLease waiting = await WaitingLease.AcquireAsync(acquirer, Socket, "left");
        Assert.Equal((Users.Alice, acquirer.ProcessId), await HolderOfAsync(waiting.Id));

        RedeemedLease lease = await RedeemedLease.RedeemAsync(redeemer, Socket, waiting.Secret);

        Assert.Equal("0", lease.Answer);
        Assert.Equal(waiting.Inode, await lease.InodeAsync());
        Assert.Equal(Machine.Identification, await lease.ReadAsync());
        Assert.Equal((Users.Alice, redeemer.ProcessId), await HolderOfAsync(waiting.Id));

        // Whoever acquired it has no part in it any more.
        await acquirer.KillAsync();
        Assert.Equal(Machine.Identification, await lease.ReadAsync());
        Assert.Equal((Users.Alice, redeemer.ProcessId), await HolderOfAsync(waiting.Id));

        Task ended = machine.Broker.HearEndOfAsync(waiting.Id);
        await lease.CloseAsync();
        await ended;
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_stolen_ticket_is_worth_nothing_to_another_user()
    {
        await using ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        WaitingLease waiting = await WaitingLease.AcquireAsync(alice, Socket, "left");

        RedeemedLease stolen = await RedeemedLease.RedeemAsync(bob, Socket, waiting.Secret);
        Assert.Equal("1", stolen.Answer);
        await stolen.EndAsync();

        RedeemedLease own = await RedeemedLease.RedeemAsync(alice, Socket, waiting.Secret);
        Assert.Equal("0", own.Answer);
        Assert.Equal("1", (await RedeemedLease.RedeemAsync(alice, Socket, waiting.Secret)).Answer);
        Assert.Equal(Machine.Identification, await own.ReadAsync());
    }

    [Theory]
    [Trait(Only.Machine, Only.Either)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_killed_clients_lease_ends_before_and_after_it_is_redeemed(bool redeemed)
    {
        await using ProbeProcess victim = ProbeProcess.Start(Users.Alice);
        WaitingLease waiting = await WaitingLease.AcquireAsync(victim, Socket, "left");
        if (redeemed)
        {
            Assert.Equal("0", (await RedeemedLease.RedeemAsync(victim, Socket, waiting.Secret)).Answer);
        }

        Task ended = machine.Broker.HearEndOfAsync(waiting.Id);
        await victim.KillAsync();
        await ended;
        await using ProbeProcess next = ProbeProcess.Start(Users.Alice);
        await WaitingLease.AcquireAsync(next, Socket, "left");
    }

    [Fact]
    public async Task A_revoked_lease_ends_its_connection_and_its_unredeemed_ticket_says_so()
    {
        await using ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        await using ProbeProcess bob = ProbeProcess.Start(Users.Bob);
        WaitingLease left = await WaitingLease.AcquireAsync(alice, Socket, "left");
        RedeemedLease lease = await RedeemedLease.RedeemAsync(alice, Socket, left.Secret);
        Assert.Equal("0", lease.Answer);

        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$"""{"pid": {{alice.ProcessId}}}""");
        await lease.EndAsync();
        WaitingLease right = await WaitingLease.AcquireAsync(bob, Socket, "right");
        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{right.Id}}"}""");

        Assert.Equal("4", (await RedeemedLease.RedeemAsync(bob, Socket, right.Secret)).Answer);
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_broker_that_stops_ends_the_connection()
    {
        await using ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        WaitingLease waiting = await WaitingLease.AcquireAsync(alice, Socket, "left");
        RedeemedLease lease = await RedeemedLease.RedeemAsync(alice, Socket, waiting.Secret);
        Assert.Equal("0", lease.Answer);

        Assert.Equal(0, await machine.Broker.StopAsync());
        await lease.EndAsync();
        await machine.RestartBrokerAsync();
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task Tickets_leave_no_descriptor_in_the_broker()
    {
        await using ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        await RedeemAndCloseAsync(alice);
        int before = CountOfTickets();
        for (int i = 0; i < 20; i++)
        {
            await RedeemAndCloseAsync(alice);
        }

        // What is closed is closed just after the end that was told.
        await Patience.UntilAsync(() => CountOfTickets() <= before, () => $"the broker had {before} such files open before, now {CountOfTickets()}");
    }

    /// <summary>Sockets, processes and leases' memory: the runtime opens other files when it needs them first.</summary>
    private int CountOfTickets() => machine.Broker.OpenFiles().Count(file =>
        file.StartsWith("socket:", StringComparison.Ordinal) || file.StartsWith("/memfd:", StringComparison.Ordinal)
        || file.StartsWith("/dmabuf:", StringComparison.Ordinal) || file.Contains("[pidfd]", StringComparison.Ordinal));

    private async Task RedeemAndCloseAsync(ProbeProcess probe)
    {
        WaitingLease waiting = await WaitingLease.AcquireAsync(probe, Socket, "left");
        RedeemedLease lease = await RedeemedLease.RedeemAsync(probe, Socket, waiting.Secret);
        Assert.Equal("0", lease.Answer);
        Task ended = machine.Broker.HearEndOfAsync(waiting.Id);
        await lease.CloseAsync();
        await ended;
    }

    private async Task<(int Uid, int Pid)> HolderOfAsync(ulong lease)
    {
        JsonNode answer = await machine.AdministrateAsync("barbroker.v1.Admin/ListLeases", $$"""{"device": "{{Machine.Board}}"}""");
        JsonNode held = answer["leases"]!.AsArray().Single(held => (string)held!["lease"]!["leaseId"]! == $"{lease}")!;
        return ((int)held["holder"]!["uid"]!, (int)held["holder"]!["pid"]!);
    }
}
