using System.Globalization;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>Leases that end with time: their own, or an admin's.</summary>
public sealed class LeaseTimeScenarios(Machine machine)
{
    [Fact]
    public async Task A_lease_that_is_not_renewed_is_over_in_the_kernel_when_its_time_is()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left", leaseTime: TimeSpan.FromSeconds(3));
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        await left.MapAsync();
        await status.MapAsync();
        await left.WriteAsync(0x40, 1);

        Assert.Equal("Expired", await left.EndAsync());

        await IsOverAsync(left);
        Assert.Equal(Machine.Identification, await status.ReadAsync(0));
        ClientLease again = await alice.AcquireAsync("left");
        await again.MapAsync();
        Assert.Equal(Machine.Identification, await again.ReadAsync(0));
        await IsOverAsync(left);
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_holder_is_told_of_its_end_and_has_the_memory_until_then()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();

        Task<JsonNode> revoke = RevokeAsync(left, "5s");
        Assert.Equal("Revoked", await left.NoticeAsync());
        await left.WriteAsync(0x40, 0x600dda7a);
        Assert.Equal(0x600dda7aUL, await left.ReadAsync(0x40));
        Assert.False(revoke.IsCompleted);

        Assert.Equal([left.Properties.Id], LeaseIds(await revoke));
        await IsOverAsync(left);
        Assert.Equal("Revoked", await left.EndAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_holder_that_releases_in_time_ends_the_admins_wait()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();
        Task<JsonNode> revoke = RevokeAsync(left, "3600s");
        Assert.Equal("Revoked", await left.NoticeAsync());
        await left.WriteAsync(0x40, 0);

        await left.ReleaseAsync();

        Assert.Equal([left.Properties.Id], LeaseIds(await revoke));
        await alice.AcquireAsync("left");
    }

    private static async Task IsOverAsync(ClientLease lease)
    {
        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
    }

    private static ulong[] LeaseIds(JsonNode answer)
        => [.. answer["leaseIds"]!.AsArray().Select(id => ulong.Parse((string)id!, CultureInfo.InvariantCulture))];

    private Task<JsonNode> RevokeAsync(ClientLease lease, string grace)
        => Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{lease.Properties.Id}}", "grace": "{{grace}}"}""");
}
