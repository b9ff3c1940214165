using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>An admin takes leases back, with a client that isn't ours.</summary>
public sealed class RevocationScenarios(Machine machine)
{
    [Fact]
    public async Task A_revoked_clients_next_access_throws_and_its_neighbour_goes_on()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");
        ClientLease right = await bob.AcquireAsync("right");
        await left.MapAsync();
        await right.MapAsync();
        await left.WriteAsync(0x40, 1);
        await right.WriteAsync(0x40, 0x600dda7a);

        JsonNode answer = await RevokeAsync($$"""{"leaseId": "{{left.Properties.Id}}"}""");
        Assert.Equal([left.Properties.Id], LeaseIds(answer));

        foreach (Func<Task> access in (Func<Task>[])[() => left.ReadAsync(0), () => left.WriteAsync(0x40, 2), () => left.ReadAsync(0)])
        {
            ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(access);
            Assert.Equal("LeaseRevokedException", revoked.Error.Type);
        }

        Assert.Equal("Revoked", await left.EndAsync());
        Assert.Equal(0x600dda7aUL, await right.ReadAsync(0x40));
        Assert.Equal(Machine.Identification, await right.ReadAsync(0));
    }

    [Fact]
    public async Task A_revoked_range_can_be_leased_again_and_the_old_lease_stays_dead()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease first = await alice.AcquireAsync("left");
        await first.MapAsync();
        await RevokeAsync($$"""{"leaseId": "{{first.Properties.Id}}"}""");

        ClientLease second = await alice.AcquireAsync("left");
        await second.MapAsync();
        Assert.Equal(Machine.Identification, await second.ReadAsync(0));
        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => first.ReadAsync(0));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task The_descriptor_of_a_revoked_lease_can_not_be_mapped_again()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        Assert.Equal(0, await left.RawMapAsync(Machine.Page));
        await RevokeAsync($$"""{"leaseId": "{{left.Properties.Id}}"}""");
        Assert.Equal(Errno.NoDevice, await left.RawMapAsync(Machine.Page));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task Revoking_a_user_ends_its_leases_and_nobody_elses()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        ClientLease right = await bob.AcquireAsync("right");
        await right.MapAsync();

        JsonNode answer = await RevokeAsync($$"""{"uid": {{Users.Alice}}}""");
        Assert.Equal([left.Properties.Id, status.Properties.Id], LeaseIds(answer).Order());
        Assert.Equal(Machine.Identification, await right.ReadAsync(0));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task Revoking_an_unknown_lease_is_refused()
    {
        BufError error = await Buf.FailAsync(0, machine.Broker.AdminSocket, RevokeMethod, """{"leaseId": "18446744073709551615"}""");
        Assert.Equal(("not_found", "LEASE_UNKNOWN"), (error.Code, error.Reason));
    }

    [Fact]
    public async Task A_hundred_leases_are_revoked_at_once()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease[] leases = await AcquireHundredAsync(alice);

        LeaseSessionInfo? before = Machine.IsReal ? LeaseSessionInfo.Of(machine.Broker) : null;

        JsonNode answer = await RevokeAsync("""{"all": true}""");
        Assert.Equal(leases.Select(lease => lease.Properties.Id).Order(), LeaseIds(answer).Order());
        foreach (ClientLease lease in (ClientLease[])[leases[0], leases[^1]])
        {
            ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => lease.ReadAsync(0));
            Assert.Equal("LeaseRevokedException", revoked.Error.Type);
        }

        if (before is { } start)
        {
            LeaseSessionInfo end = LeaseSessionInfo.Of(machine.Broker);
            Assert.Equal((1UL, 100UL, 0UL), (end.RevokeCalls - start.RevokeCalls, end.LeasesRevoked - start.LeasesRevoked, end.LeasesLive));
        }
    }

    private const string RevokeMethod = "barbroker.v1.Admin/Revoke";

    private static async Task<ClientLease[]> AcquireHundredAsync(Client client)
    {
        ClientLease[] leases = new ClientLease[100];
        for (uint i = 0; i < leases.Length; i++)
        {
            leases[i] = await client.AcquireRangeAsync(Machine.AreaOffset + (i * Machine.Page), Machine.Page);
            await leases[i].MapAsync();
            Assert.Equal((Machine.AreaOffset / Machine.Page) + i, await leases[i].ReadAsync(Machine.PageNumberRegister));
        }

        return leases;
    }

    private Task<JsonNode> RevokeAsync(string request) => Buf.CallAsync(machine.Broker.AdminSocket, RevokeMethod, request);

    private static ulong[] LeaseIds(JsonNode answer)
    {
        return [.. answer["leaseIds"]!.AsArray().Select(id => ulong.Parse((string)id!, System.Globalization.CultureInfo.InvariantCulture))];
    }
}
