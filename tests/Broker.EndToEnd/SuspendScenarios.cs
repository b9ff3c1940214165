using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>An admin suspends, resumes and resets devices while they are in use.</summary>
public sealed class SuspendScenarios(Machine machine)
{
    private const string MemoryOff = "SUSPEND_MODE_MEMORY_OFF";
    private const string LowPower = "SUSPEND_MODE_LOW_POWER";

    /// <summary>NVM Express: the controller's capabilities, read-only and never 0.</summary>
    private const ulong Capabilities = 0;

    [Theory]
    [Trait(Only.Machine, Only.Real)]
    [InlineData(MemoryOff, "MemoryOff")]
    [InlineData(LowPower, "LowPower")]
    public async Task A_lease_survives_a_suspension_and_works_again_in_the_same_mapping(string mode, string reason)
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireNvmeAsync(alice);
        await lease.MapAsync();
        ulong before = await lease.ReadAsync(Capabilities, width: 64);
        Assert.NotEqual(0UL, before);
        Assert.Equal("SERVING", await machine.HealthOfAsync("device/nvme"));

        await CallAsync("SuspendDevice", $$"""{"device": "nvme", "mode": "{{mode}}"}""");

        Assert.Equal($"suspended {reason}", await lease.NextDeviceNewsAsync());
        await ThrowsSuspendedAsync(() => lease.ReadAsync(Capabilities));
        Assert.Equal("DEVICE_STATE_SUSPENDED", await StateAsync("nvme"));
        Assert.Equal("NOT_SERVING", await machine.HealthOfAsync("device/nvme"));
        Assert.Equal("SERVING", await machine.HealthOfAsync(""));
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => AcquireNvmeAsync(alice, page: 1));
        Assert.Equal("DEVICE_SUSPENDED", refused.Error.Reason);

        await CallAsync("ResumeDevice", """{"device": "nvme"}""");

        Assert.Equal("resumed", await lease.NextDeviceNewsAsync());
        Assert.Equal(before, await lease.ReadAsync(Capabilities, width: 64));
        await AcquireNvmeAsync(alice, page: 1);
    }

    [Theory]
    [Trait(Only.Machine, Only.Real)]
    [InlineData(null)]
    [InlineData(MemoryOff)]
    [InlineData(LowPower)]
    public async Task A_lease_survives_a_reset_which_also_resumes(string? suspended)
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await AcquireNvmeAsync(alice);
        await lease.MapAsync();
        ulong before = await lease.ReadAsync(Capabilities, width: 64);
        if (suspended is not null)
        {
            await CallAsync("SuspendDevice", $$"""{"device": "nvme", "mode": "{{suspended}}"}""");
        }

        await CallAsync("ResetDevice", """{"device": "nvme"}""");

        string news;
        do
        {
            news = await lease.NextDeviceNewsAsync();
        }
        while (news != "resumed after a reset");
        Assert.Equal(before, await lease.ReadAsync(Capabilities, width: 64));
        Assert.Equal("DEVICE_STATE_SERVING", await StateAsync("nvme"));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task Memory_behind_a_bridge_is_as_it_was_after_suspension_and_reset()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await alice.AcquireAsync("left");
        await lease.MapAsync();
        await lease.WriteAsync(0x40, 0x5eed);
        await CallAsync("SuspendDevice", $$"""{"device": "{{Machine.Board}}", "mode": "{{MemoryOff}}"}""");
        await ThrowsSuspendedAsync(() => lease.ReadAsync(0x40));
        await ThrowsSuspendedAsync(() => lease.WriteAsync(0x40, 1));

        await CallAsync("ResetDevice", $$"""{"device": "{{Machine.Board}}"}""");

        Assert.Equal("suspended MemoryOff", await lease.NextDeviceNewsAsync());
        Assert.Equal("resumed after a reset", await lease.NextDeviceNewsAsync());
        Assert.Equal(0x5eedUL, await lease.ReadAsync(0x40));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_lease_that_is_revoked_while_its_device_is_suspended_stays_dead_when_it_resumes()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease revoked = await AcquireNvmeAsync(alice);
        ClientLease kept = await AcquireNvmeAsync(alice, page: 1);
        await revoked.MapAsync();
        await kept.MapAsync();
        await CallAsync("SuspendDevice", $$"""{"device": "nvme", "mode": "{{LowPower}}"}""");

        await CallAsync("Revoke", $$"""{"leaseId": "{{revoked.Properties.Id}}"}""");
        await CallAsync("ResumeDevice", """{"device": "nvme"}""");

        Assert.Equal("Revoked", await revoked.EndAsync());
        Assert.Equal("LeaseRevokedException", (await Assert.ThrowsAsync<ProbeException>(() => revoked.ReadAsync(0))).Error.Type);
        await kept.ReadAsync(0);
    }

    [Fact]
    public async Task A_device_without_D3hot_says_so()
    {
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => CallAsync("SuspendDevice", $$"""{"device": "{{Machine.Board}}", "mode": "{{LowPower}}"}"""));

        Assert.Equal(("FailedPrecondition", "MODE_UNSUPPORTED"), (refused.Error.Status, refused.Error.Reason));
        Assert.Equal("DEVICE_STATE_SERVING", await StateAsync(Machine.Board));
    }

    private static Task<ClientLease> AcquireNvmeAsync(Client client, ulong page = 0)
        => client.AcquireRangeAsync(page * Machine.Page, Machine.Page, writable: false, bar: 0, device: "nvme");

    private static async Task ThrowsSuspendedAsync(Func<Task> access)
        => Assert.Equal("DeviceSuspendedException", (await Assert.ThrowsAsync<ProbeException>(access)).Error.Type);

    private Task<JsonNode> CallAsync(string method, string request) => machine.AdministrateAsync($"barbroker.v1.Admin/{method}", request);

    private Task<string> StateAsync(string device) => machine.StateOfAsync(device);
}
