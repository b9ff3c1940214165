namespace BarBroker.EndToEnd;

/// <summary>A broker that is not root, with what the rules in deploy/udev give its group.</summary>
[Trait(Only.Machine, Only.Real)]
[Trait(Only.Length, Only.Long)]
public sealed class UnprivilegedScenarios(Machine machine)
{
    [Fact]
    public async Task A_broker_that_is_not_root_leases_suspends_and_revokes()
    {
        await machine.Broker.StopAsync();
        try
        {
            DeviceNodes.GiveTo(Users.Root);
            InvalidOperationException refused = await Assert.ThrowsAsync<InvalidOperationException>(() => machine.RestartBrokerAsync(Users.Broker));
            Assert.Contains("/dev/bar_lease may not be opened", refused.Message, StringComparison.Ordinal);

            DeviceNodes.GiveTo(Users.BrokerGroup);
            await machine.RestartBrokerAsync(Users.Broker);
            await ServesAsync();
            Assert.Equal(0, await machine.Broker.StopAsync());
        }
        finally
        {
            DeviceNodes.GiveTo(Users.Root);
            await machine.RestartBrokerAsync();
        }
    }

    private async Task ServesAsync()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease board = await alice.AcquireAsync("left");
        ClientLease edu = await alice.AcquireAsync("identification", writable: false, device: "edu");
        ClientLease nvme = await alice.AcquireRangeAsync(0, Machine.Page, writable: false, bar: 0, device: "nvme");
        foreach (ClientLease lease in (ClientLease[])[board, edu, nvme])
        {
            await lease.MapAsync();
        }

        Assert.Equal(Machine.Identification, await board.ReadAsync(0));
        Assert.Equal(0x010000edUL, await edu.ReadAsync(0));
        await machine.AdministrateAsync("barbroker.v1.Admin/SuspendDevice", """{"device": "nvme", "mode": "SUSPEND_MODE_MEMORY_OFF"}""");
        Assert.Equal("DeviceSuspendedException", (await Assert.ThrowsAsync<ProbeException>(() => nvme.ReadAsync(0))).Error.Type);
        await machine.AdministrateAsync("barbroker.v1.Admin/ResetDevice", """{"device": "nvme"}""");
        await nvme.ReadAsync(0);

        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", """{"all": true}""");

        foreach (ClientLease lease in (ClientLease[])[board, edu, nvme])
        {
            Assert.Equal("LeaseRevokedException", (await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0))).Error.Type);
        }
    }
}
