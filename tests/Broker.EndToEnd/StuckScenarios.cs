using System.Diagnostics;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>
/// Another device's driver has a peer-to-peer lease mapped and does not let go. For a revocation the kernel waits a second; for
/// whatever takes the memory away from VFIO it waits for the driver without a limit.
/// </summary>
[Trait(Only.Machine, Only.Real)]
public sealed class StuckScenarios(Machine machine)
{
    /// <summary>The minute that the broker waits before it tries again by itself, and what a busy machine adds to it.</summary>
    private static readonly TimeSpan RetriedWithin = TimeSpan.FromSeconds(90) * Patience.Slowness;

    /// <summary>Because the device moved: well before the broker would try again by itself.</summary>
    private static readonly TimeSpan Promptly = TimeSpan.FromSeconds(20) * Patience.Slowness;

    /// <summary>What a service manager allows a stopping service by default.</summary>
    private static readonly TimeSpan StopsWithin = TimeSpan.FromSeconds(90) * Patience.Slowness;

    [Fact]
    [Trait(Only.Length, Only.Long)]
    public async Task A_range_that_a_driver_keeps_is_quarantined_until_it_lets_go()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireForDriverAsync(alice);
        using Importer driver = await Importer.MapAsync(lease);

        await IsUnconfirmedAsync(lease);

        await IsOverAsync(lease);
        Assert.Equal("Revoked", await lease.EndAsync());
        await IsQuarantinedAsync(alice);
        await OthersGoOnAsync(alice);
        ClientLease elsewhere = await alice.AcquireAsync("left");
        await elsewhere.ReleaseAsync();
        Assert.True(driver.HasMapping);

        // Of this the broker hears from nobody.
        Task ended = machine.Broker.HearEndOfAsync(lease.Properties.Id);
        long letGo = Stopwatch.GetTimestamp();
        driver.LetGo();
        await ended;
        Assert.InRange(Stopwatch.GetElapsedTime(letGo), TimeSpan.Zero, RetriedWithin);
        await IsLeasedAgainAsync(alice);
    }

    [Fact]
    public async Task A_quarantine_ends_with_the_next_revocation_once_the_driver_has_let_go()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireForDriverAsync(alice);
        using Importer driver = await Importer.MapAsync(lease);
        await IsUnconfirmedAsync(lease);
        await IsUnconfirmedAsync(lease);
        await IsQuarantinedAsync(alice);

        driver.LetGo();

        await RevokeAsync(lease);
        await IsLeasedAgainAsync(alice);
    }

    [Fact]
    public async Task A_device_whose_suspension_a_driver_holds_up_is_stuck_until_it_lets_go()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireForDriverAsync(alice);
        using Importer driver = await Importer.MapAsync(lease);

        await GetsStuckAsync(alice, driver, "SuspendDevice", $$"""{"device": "{{Machine.Board}}", "mode": "SUSPEND_MODE_MEMORY_OFF"}""");

        Task unstuck = machine.Broker.HearUnstuckAsync(Machine.Board);
        driver.LetGo();
        await unstuck;
        Assert.Equal("DEVICE_STATE_SUSPENDED", await machine.StateOfAsync(Machine.Board));
        await CallAsync("ResumeDevice", $$"""{"device": "{{Machine.Board}}"}""");
        Assert.Equal("suspended MemoryOff", await lease.NextDeviceNewsAsync());
        Assert.Equal("resumed", await lease.NextDeviceNewsAsync());
        await lease.ReadAsync(0);
        await lease.ReleaseAsync();
        await IsLeasedAgainAsync(alice);
    }

    [Fact]
    [Trait(Only.Length, Only.Long)]
    public async Task A_device_whose_reset_a_driver_holds_up_is_stuck_and_what_is_revoked_meanwhile_ends_with_it()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireForDriverAsync(alice);
        ClientLease kept = await alice.AcquireAsync("left");
        await kept.MapAsync();
        using Importer driver = await Importer.MapAsync(lease);

        await GetsStuckAsync(alice, driver, "ResetDevice", $$"""{"device": "{{Machine.Board}}"}""");
        await IsUnconfirmedAsync(lease);
        await IsOverAsync(lease);

        Task ended = machine.Broker.HearEndOfAsync(lease.Properties.Id);
        Task unstuck = machine.Broker.HearUnstuckAsync(Machine.Board);
        long letGo = Stopwatch.GetTimestamp();
        driver.LetGo();
        Assert.Equal("suspended Reset", await kept.NextDeviceNewsAsync());
        Assert.Equal("resumed after a reset", await kept.NextDeviceNewsAsync());
        Assert.Equal(Machine.Identification, await kept.ReadAsync(0));
        await ended;
        Assert.InRange(Stopwatch.GetElapsedTime(letGo), TimeSpan.Zero, Promptly);
        await unstuck;
        await IsLeasedAgainAsync(alice);
    }

    [Fact]
    [Trait(Only.Length, Only.Long)]
    public async Task A_broker_with_a_stuck_device_stops_all_the_same()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease lease = await AcquireForDriverAsync(alice);
        ClientLease right = await bob.AcquireAsync("right");
        ClientLease elsewhere = await AcquireNvmeAsync(alice, page: 1);
        await right.MapAsync();
        await elsewhere.MapAsync();
        using Importer driver = await Importer.MapAsync(lease);
        await GetsStuckAsync(alice, driver, "ResetDevice", $$"""{"device": "{{Machine.Board}}"}""");

        try
        {
            long told = Stopwatch.GetTimestamp();
            machine.Broker.TellToStop();
            await Patience.UntilAsync(() => machine.Broker.HasLeftMain, () => $"the broker does not stop: {machine.Broker.DescribeThreads()}");
            Assert.InRange(Stopwatch.GetElapsedTime(told), TimeSpan.Zero, StopsWithin);
            Assert.True(driver.HasMapping);
            await IsOverAsync(lease);
            await IsOverAsync(right);
            await IsOverAsync(elsewhere);

            // The process itself the kernel keeps until its call returns, and the device with it.
            driver.LetGo();
            Assert.Equal(1, await machine.Broker.ExitAsync());
        }
        finally
        {
            driver.Dispose();
            await machine.RestartBrokerAsync();
        }

        await using Client again = await machine.ConnectAsync(Users.Alice);
        await IsLeasedAgainAsync(again);
    }

    private static async Task<ClientLease> AcquireForDriverAsync(Client client)
    {
        ClientLease lease = await client.AcquireAsync("peer", p2p: true);
        await lease.MapAsync();
        await lease.ReadAsync(0);
        return lease;
    }

    private static Task<ClientLease> AcquireNvmeAsync(Client client, ulong page = 0)
        => client.AcquireRangeAsync(page * Machine.Page, Machine.Page, writable: false, bar: 0, device: "nvme");

    /// <summary>An admin's call about the board does not come back: its caller and everybody else hears of it.</summary>
    private async Task GetsStuckAsync(Client client, Importer driver, string method, string request)
    {
        // Another admin makes it: this one has to go on meanwhile.
        Assert.Equal("SERVING", await machine.HealthOfAsync($"device/{Machine.Board}"));
        await using ProbeProcess admin = ProbeProcess.Start(Users.Root);
        Task stuck = machine.Broker.HearStuckAsync(Machine.Board);
        Task<ProbeException> call = Assert.ThrowsAsync<ProbeException>(() => admin.CallAsync(machine.Broker.AdminSocket, $"barbroker.v1.Admin/{method}", request));
        await stuck;

        Assert.Equal("DEVICE_STUCK", (await Assert.ThrowsAsync<ProbeException>(() => client.AcquireAsync("status", writable: false))).Error.Reason);
        Assert.Equal("DEVICE_STATE_STUCK", await machine.StateOfAsync(Machine.Board));
        Assert.Equal("NOT_SERVING", await machine.HealthOfAsync($"device/{Machine.Board}"));
        await OthersGoOnAsync(client);
        Assert.Equal("DEVICE_STUCK", (await call).Error.Reason);
        Assert.True(driver.HasMapping);
        Assert.Equal(1u, driver.Invalidations);
    }

    private async Task IsUnconfirmedAsync(ClientLease lease)
    {
        Task quarantined = machine.Broker.HearQuarantineOfAsync(lease.Properties.Id);
        ProbeException unconfirmed = await Assert.ThrowsAsync<ProbeException>(() => RevokeAsync(lease));
        Assert.Equal(("Internal", "REVOKE_UNCONFIRMED"), (unconfirmed.Error.Status, unconfirmed.Error.Reason));
        await quarantined;
    }

    private async Task IsQuarantinedAsync(Client client)
    {
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => client.AcquireAsync("peer", p2p: true));
        Assert.Equal("RANGE_LEASED", refused.Error.Reason);
        Assert.Equal("NOT_SERVING", await machine.HealthOfAsync($"device/{Machine.Board}"));
    }

    /// <summary>What this device does is nothing to the others, nor to the broker.</summary>
    private async Task OthersGoOnAsync(Client client)
    {
        ClientLease lease = await AcquireNvmeAsync(client);
        await lease.MapAsync();
        await lease.ReadAsync(0);
        await RevokeAsync(lease);
        await IsOverAsync(lease);
        Assert.Equal("SERVING", await machine.HealthOfAsync("device/nvme"));
        Assert.Equal("SERVING", await machine.HealthOfAsync(""));
    }

    private async Task IsLeasedAgainAsync(Client client)
    {
        Assert.Equal("SERVING", await machine.HealthOfAsync($"device/{Machine.Board}"));
        ClientLease again = await AcquireForDriverAsync(client);
        await again.ReleaseAsync();
    }

    private static async Task IsOverAsync(ClientLease lease)
        => Assert.Equal("LeaseRevokedException", (await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0))).Error.Type);

    private Task<JsonNode> RevokeAsync(ClientLease lease) => CallAsync("Revoke", $$"""{"leaseId": "{{lease.Properties.Id}}"}""");

    private Task<JsonNode> CallAsync(string method, string request) => machine.AdministrateAsync($"barbroker.v1.Admin/{method}", request);
}
