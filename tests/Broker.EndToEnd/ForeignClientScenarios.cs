using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary>Any gRPC client can talk to the broker; one that can't receive descriptors is told so.</summary>
public sealed class ForeignClientScenarios(Machine machine)
{
    private const string AcquireMethod = "barbroker.v1.Broker/Acquire";
    private const string HealthWatchMethod = "grpc.health.v1.Health/Watch";

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_client_that_can_not_take_descriptors_is_told_what_to_do()
    {
        BufError error = await Buf.FailAsync(
            Users.Alice, machine.Broker.ClientSocket, AcquireMethod, """{"device": "board", "window": "left", "access": "ACCESS_READ_WRITE"}""");
        Assert.Equal(("failed_precondition", "DELIVERY_MISSING"), (error.Code, error.Reason));
        Assert.Contains("set delivery to DELIVERY_TICKET", error.Message, StringComparison.Ordinal);
        Assert.EndsWith(".", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task A_call_without_an_access_is_told_which_there_are()
    {
        BufError error = await Buf.FailAsync(
            Users.Alice, machine.Broker.ClientSocket, AcquireMethod, """{"device": "board", "window": "left", "delivery": "DELIVERY_IN_BAND"}""");
        Assert.Equal(("invalid_argument", "ACCESS_MISSING", "access"), (error.Code, error.Reason, error.Field));
        Assert.Contains("ACCESS_READ_ONLY", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
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
    [Trait(Only.Machine, Only.Host)]
    public async Task The_sockets_describe_what_they_offer()
    {
        string[] methods = await Buf.ListMethodsAsync(machine.Broker.ClientSocket);
        Assert.All((string[])[AcquireMethod, "barbroker.v1.Broker/Watch", HealthWatchMethod], method => Assert.Contains(method, methods));
        Assert.All(methods, method => Assert.DoesNotContain("Admin", method, StringComparison.Ordinal));

        byte[][] files = await Buf.DescribeAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin.Revoke");

        // A file begins with its name.
        string[] names = [.. files.Select(file => BufError.TextOf(BufError.FirstField(file)))];
        Assert.Equal("barbroker/v1/admin.proto", names[0]);
        Assert.Contains("barbroker/v1/lease.proto", names);
        Assert.True(files[0].AsSpan().IndexOf("RevokeRequest"u8) > 0, Encoding.Latin1.GetString(files[0]));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_client_sees_what_it_may_lease_and_no_more()
    {
        JsonNode answer = await Buf.CallAsync(machine.Broker.ClientSocket, "barbroker.v1.Broker/ListDevices", "{}", Users.Carol);
        JsonNode board = Assert.Single(answer["devices"]!.AsArray())!;
        JsonNode vault = Assert.Single(board["windows"]!.AsArray())!;
        Assert.Equal((Machine.Board, "vault"), ((string?)board["device"], (string?)vault["window"]));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task The_admin_sees_who_holds_what()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");

        JsonNode answer = await Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/ListLeases", """{"device": "board"}""");
        JsonNode held = Assert.Single(answer["leases"]!.AsArray())!;
        Assert.Equal($"{left.Properties.Id}", (string?)held["lease"]!["leaseId"]);
        Assert.Equal((Users.Alice, Users.ClientGroup), ((int)held["holder"]!["uid"]!, (int)held["holder"]!["gid"]!));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_stream_goes_on_until_the_broker_stops_and_says_so()
    {
        using BufStream leases = Buf.Open(Users.Alice, machine.Broker.ClientSocket, "barbroker.v1.Broker/Watch", "{}");
        using BufStream health = Buf.Open(Users.Root, machine.Broker.AdminSocket, HealthWatchMethod, "{}");
        JsonNode? snapshot = await leases.ReadAsync();
        Assert.NotNull(snapshot);
        Assert.Equal("1", (string?)snapshot["sequence"]);
        Assert.NotNull(snapshot["snapshot"]);
        Assert.Equal("SERVING", (string?)(await health.ReadAsync())?["status"]);

        Assert.Equal(0, await machine.Broker.StopAsync());
        Assert.Null(await leases.ReadAsync());
        BufError over = await leases.FailAsync();
        Assert.Equal(("unavailable", "SHUTTING_DOWN"), (over.Code, over.Reason));
        Assert.Equal("NOT_SERVING", (string?)(await health.ReadAsync())?["status"]);
        Assert.Null(await health.ReadAsync());
        Assert.Equal("unavailable", (await health.FailAsync()).Code);
        await machine.RestartBrokerAsync();
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task A_deadline_ends_a_call_and_is_known_to_the_broker()
    {
        // The deadline is for all that buf does, and has to be beyond what comes before the call: starting, connecting, reflection.
        long start = Stopwatch.GetTimestamp();
        await Buf.CallAsync(machine.Broker.AdminSocket, "grpc.health.v1.Health/Check", "{}");
        TimeSpan enough = Stopwatch.GetElapsedTime(start) * 4 + TimeSpan.FromSeconds(1);

        (BufError error, string[] sent) = await Buf.ExpireAsync(machine.Broker.AdminSocket, HealthWatchMethod, "{}", enough);
        Assert.Equal("deadline_exceeded", error.Code);
        IEnumerable<string> headers = sent.SkipWhile(line => !line.EndsWith($"POST /{HealthWatchMethod}", StringComparison.Ordinal));
        Assert.Single(headers, line => line.Contains("Grpc-Timeout: ", StringComparison.Ordinal));
    }
}
