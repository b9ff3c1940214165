namespace BarBroker.EndToEnd;

/// <summary>A device goes away under its holders, and returns.</summary>
public sealed class UnplugScenarios(Machine machine)
{
    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_board_that_is_unbound_goes_and_is_leased_again_when_it_is_bound()
    {
        PciFunction board = PciFunction.Board;
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        (ClientLease lease, ClientLease neighbour) = await AcquireAsync(alice);

        await board.UnbindAsync();

        Assert.Null(board.Driver);
        await IsGoneAsync(alice, lease, neighbour);
        Task returned = machine.Broker.HearReturnOfAsync(Machine.Board);
        board.Bind();
        await returned;
        await IsBackAsync(alice);
        await neighbour.ReadAsync(0);
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_board_that_is_unplugged_while_it_is_suspended_goes_and_another_takes_its_place()
    {
        PciFunction board = PciFunction.Board;
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        (ClientLease lease, ClientLease neighbour) = await AcquireAsync(alice);
        await machine.AdministrateAsync("barbroker.v1.Admin/SuspendDevice", $$"""{"device": "{{Machine.Board}}", "mode": "SUSPEND_MODE_MEMORY_OFF"}""");

        await board.UnplugBoardAsync();

        await IsGoneAsync(alice, lease, neighbour);
        Task returned = machine.Broker.HearReturnOfAsync(Machine.Board);
        await board.PlugBoardAsync("bar2-again");
        Assert.Equal("DEVICE_STATE_GONE", await machine.StateOfAsync(Machine.Board));
        board.Bind();
        await returned;
        await IsBackAsync(alice);
        await neighbour.ReadAsync(0);
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_board_that_returns_too_small_for_the_policy_stays_gone_until_one_comes_that_fits()
    {
        PciFunction board = PciFunction.Board;
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        (ClientLease lease, ClientLease neighbour) = await AcquireAsync(alice);
        await board.UnplugBoardAsync();
        await IsGoneAsync(alice, lease, neighbour);

        try
        {
            Task misfit = machine.Broker.HearMisfitOfAsync(Machine.Board);
            await board.PlugBoardAsync("bar2-small");
            board.Bind();
            await misfit;

            await IsGoneAsync(alice, lease, neighbour);
            Assert.Equal("NOT_SERVING", await machine.HealthOfAsync($"device/{Machine.Board}"));
            string status = await StatusAsync();
            Assert.Contains($"{Machine.Board} {board.Address} GONE", status, StringComparison.Ordinal);
            Assert.Contains("It is there, but does not fit the policy: ", status, StringComparison.Ordinal);
            Assert.Contains($"devices.{Machine.Board}.windows.all", status, StringComparison.Ordinal);
        }
        finally
        {
            // Nobody has it open, so nobody is asked.
            await board.UnplugBoardAsync();
            Task returned = machine.Broker.HearReturnOfAsync(Machine.Board);
            await board.PlugBoardAsync("bar2-third");
            board.Bind();
            await returned;
        }

        await IsBackAsync(alice);
        await neighbour.ReadAsync(0);
    }

    /// <summary>What it says, wherever it breaks the lines.</summary>
    private async Task<string> StatusAsync()
    {
        (int status, string output) = await Stage.RunBrokerAsync("status", "--socket", machine.Broker.AdminSocket);
        Assert.True(status == 0, output);
        return string.Join(' ', output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    private static async Task<(ClientLease Lease, ClientLease Neighbour)> AcquireAsync(Client client)
    {
        ClientLease lease = await client.AcquireAsync("left");
        ClientLease neighbour = await client.AcquireAsync("identification", writable: false, device: "edu");
        await lease.MapAsync();
        await neighbour.MapAsync();
        Assert.Equal(Machine.Identification, await lease.ReadAsync(0));
        return (lease, neighbour);
    }

    private async Task IsGoneAsync(Client client, ClientLease lease, ClientLease neighbour)
    {
        Assert.Equal("DeviceGone", await lease.EndAsync());
        ProbeException over = await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0));
        Assert.Equal("LeaseRevokedException", over.Error.Type);
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => client.AcquireAsync("left"));
        Assert.Equal("DEVICE_GONE", refused.Error.Reason);
        Assert.Equal("DEVICE_STATE_GONE", await machine.StateOfAsync(Machine.Board));

        // The broker's other devices are served as ever.
        Assert.Equal(0x010000edUL, await neighbour.ReadAsync(0));
        ClientLease another = await client.AcquireRangeAsync(0, Machine.Page, writable: false, bar: 0, device: "nvme");
        await another.ReleaseAsync();
    }

    private async Task IsBackAsync(Client client)
    {
        Assert.Equal("DEVICE_STATE_SERVING", await machine.StateOfAsync(Machine.Board));
        ClientLease lease = await client.AcquireAsync("left");
        await lease.MapAsync();
        Assert.Equal(Machine.Identification, await lease.ReadAsync(0));
        await lease.ReleaseAsync();
    }
}
