using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>Any gRPC client can talk to the broker; one that can't receive descriptors is told so.</summary>
public sealed class ForeignClientScenarios(Machine machine)
{
    private const string AcquireMethod = "barbroker.v1.Broker/Acquire";

    [Fact]
    public async Task A_client_that_can_not_take_descriptors_is_told_what_to_do()
    {
        BufError error = await Buf.FailAsync(
            Users.Alice, machine.Broker.ClientSocket, AcquireMethod, """{"device": "board", "window": "left", "access": "ACCESS_READ_WRITE"}""");
        Assert.Equal(("failed_precondition", "DELIVERY_MISSING"), (error.Code, error.Reason));
        Assert.Contains("set delivery to DELIVERY_TICKET", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(".", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_without_an_access_is_told_which_there_are()
    {
        BufError error = await Buf.FailAsync(
            Users.Alice, machine.Broker.ClientSocket, AcquireMethod, """{"device": "board", "window": "left", "delivery": "DELIVERY_IN_BAND"}""");
        Assert.Equal(("invalid_argument", "ACCESS_MISSING"), (error.Code, error.Reason));
        Assert.Contains("ACCESS_READ_ONLY", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_sockets_offer_what_they_are_for()
    {
        string[] client = await Buf.ListServicesAsync(machine.Broker.ClientSocket);
        string[] admin = await Buf.ListServicesAsync(machine.Broker.AdminSocket);
        Assert.Contains("barbroker.v1.Broker", client);
        Assert.DoesNotContain("barbroker.v1.Admin", client);
        Assert.Contains("barbroker.v1.Admin", admin);
        Assert.All((string[][])[client, admin], services => Assert.Contains("grpc.health.v1.Health", services));
    }

    [Fact]
    public async Task The_admin_sees_who_holds_what()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");

        JsonNode answer = await Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/ListLeases", """{"device": "board"}""");
        JsonNode held = Assert.Single(answer["leases"]!.AsArray())!;
        Assert.Equal($"{left.Properties.Id}", (string?)held["lease"]!["leaseId"]);
        Assert.Equal((Users.Alice, Users.ClientGroup), ((int)held["holder"]!["uid"]!, (int)held["holder"]!["gid"]!));
    }
}
