namespace BarBroker.EndToEnd;

/// <summary>A client that stands still, as one does whose developer thinks at a breakpoint: nothing but its death ends its leases.</summary>
public sealed class StoppedClientScenarios(Machine machine)
{
    /// <summary>Kestrel looks at its connections once a second, and would close a quiet one at the first look if it could.</summary>
    private static readonly TimeSpan ManyHeartbeats = TimeSpan.FromSeconds(5);

    /// <summary>More than the broker's longest timers: 30 s for the preface, and Kestrel's own 30 s for headers and 130 s for a connection without a call.</summary>
    private static readonly TimeSpan LongerThanAnyTimer = TimeSpan.FromSeconds(150);

    [Fact]
    public Task A_stopped_client_keeps_its_lease_and_goes_on() => StandsStillAsync(ManyHeartbeats);

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    [Trait(Only.Length, Only.Long)]
    public Task However_long_a_client_is_stopped_it_keeps_its_lease() => StandsStillAsync(LongerThanAnyTimer);

    [Fact]
    public async Task A_stopped_client_hears_when_it_goes_on_of_what_it_missed()
    {
        await using ProbeProcess probe = ProbeProcess.Start(Users.Alice);
        Client alice = await probe.ConnectAsync(machine.Broker.ClientSocket);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();

        await probe.StopAsync();
        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{left.Properties.Id}}"}""");
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        await bob.AcquireAsync("middle");
        await probe.ContinueAsync();

        Assert.Equal("Revoked", await left.EndAsync());
        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => left.ReadAsync(0));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
    }

    private async Task StandsStillAsync(TimeSpan time)
    {
        await using ProbeProcess probe = ProbeProcess.Start(Users.Alice);
        Client alice = await probe.ConnectAsync(machine.Broker.ClientSocket);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();
        await left.WriteAsync(0x40, 0x5107);
        await using Client bob = await machine.ConnectAsync(Users.Bob);

        await probe.StopAsync();
        await Task.Delay(time, TestContext.Current.CancellationToken);

        ProbeException taken = await Assert.ThrowsAsync<ProbeException>(() => bob.AcquireAsync("middle"));
        Assert.Equal("RANGE_LEASED", taken.Error.Reason);
        await probe.ContinueAsync();

        // Its memory, its connection, and what it hears on that.
        Assert.Equal(0x5107UL, await left.ReadAsync(0x40));
        await alice.AcquireAsync("status", writable: false);
        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{left.Properties.Id}}"}""");
        Assert.Equal("Revoked", await left.EndAsync());
    }
}
