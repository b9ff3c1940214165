namespace BarBroker.EndToEnd;

/// <summary>The example clients in other languages: gRPC libraries that nobody here wrote, with tickets.</summary>
[Trait(Only.Machine, Only.Host)]
public sealed class ExampleScenarios(Machine machine)
{
    [Theory]
    [InlineData("cpp/client")]
    [InlineData("python/client.py")]
    [InlineData("go/client")]
    public async Task A_client_in_another_language_uses_a_lease_until_it_is_revoked(string example)
    {
        await using ExampleProcess client = ExampleProcess.Start(Users.Alice, example, machine.Broker.ClientSocket, Machine.Board, "left");
        string lease = await client.ReadLineAsync();
        Assert.Matches("^lease [1-9][0-9]*, 65536 bytes$", lease);
        Assert.Equal($"identification 0x{Machine.Identification:x8}, wrote 1, reads back 1", await client.ReadLineAsync());

        string id = lease.Split(' ')[1].TrimEnd(',');
        await machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{id}}"}""");
        Assert.Equal("revoked", await client.ReadLineAsync(skip: "out of reach"));
        Assert.Equal(3, await client.ExitAsync());
    }

    [Theory]
    [InlineData("cpp/client")]
    [InlineData("python/client.py")]
    [InlineData("go/client")]
    public async Task A_lease_is_free_again_when_such_a_client_is_killed(string example)
    {
        await using ExampleProcess client = ExampleProcess.Start(Users.Alice, example, machine.Broker.ClientSocket, Machine.Board, "left");
        ulong lease = ulong.Parse((await client.ReadLineAsync()).Split(' ')[1].TrimEnd(','), System.Globalization.CultureInfo.InvariantCulture);
        Task ended = machine.Broker.HearEndOfAsync(lease);
        await client.KillAsync();
        await ended;

        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await alice.AcquireAsync("left");
    }

    [Theory]
    [InlineData("cpp/client")]
    [InlineData("python/client.py")]
    [InlineData("go/client")]
    public async Task What_the_broker_refuses_is_said(string example)
    {
        await using ExampleProcess client = ExampleProcess.Start(Users.Alice, example, machine.Broker.ClientSocket, Machine.Board, "right");
        Assert.Equal(1, await client.ExitAsync());
        Assert.Contains("not granted", client.Errors, StringComparison.OrdinalIgnoreCase);
    }
}
