namespace BarBroker.EndToEnd;

/// <summary>What the policy says of a process, as the process finds it.</summary>
[Trait(Only.Machine, Only.Either)]
public sealed class PolicyScenarios(Machine machine)
{
    [Fact]
    public async Task A_user_has_as_many_windows_of_a_pattern_as_the_grant_says_on_all_its_connections()
    {
        await using Client first = await machine.ConnectAsync(Users.Alice);
        await using Client second = await machine.ConnectAsync(Users.Alice);
        ClientLease bell = await first.AcquireAsync("bell-0");
        await second.AcquireAsync("bell-3");

        await IsRefusedAsync("ResourceExhausted", "TOO_MANY_LEASES", () => second.AcquireAsync("bell-1"));

        await bell.ReleaseAsync();
        await second.AcquireAsync("bell-1");
    }

    [Fact]
    public async Task A_process_that_is_all_of_what_a_grant_says_has_its_window_and_not_those_beside_it()
    {
        await using Client erin = await machine.ConnectAsync(Users.Erin);

        await erin.AcquireAsync("bell-3", writable: false);

        await IsRefusedAsync("PermissionDenied", "ACCESS_NOT_GRANTED", () => erin.AcquireAsync("bell-3"));
        await IsRefusedAsync("PermissionDenied", "NOT_GRANTED", () => erin.AcquireAsync("bell-2", writable: false));
        await IsRefusedAsync("NotFound", "WINDOW_UNKNOWN", () => erin.AcquireAsync("bell-4", writable: false));
    }

    [Fact]
    public async Task The_broker_tells_which_line_decides_without_being_asked_at_run_time()
    {
        (int status, string output) = await Stage.RunBrokerAsync(
            "check", "--config", machine.Broker.PolicyFile, "--explain", "--uid", $"{Users.Alice}", "--device", Machine.Board, "--window", "bell-2", "--access", "read-write");

        Assert.True(status == 0, output);
        Assert.Contains($"decides: it is for uid {Users.Alice}, its pattern 'bell-?' fits the window", output, StringComparison.Ordinal);
    }

    private static async Task IsRefusedAsync(string status, string reason, Func<Task<ClientLease>> request)
    {
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(request);
        Assert.Equal(("RpcException", status, reason), (refused.Error.Type, refused.Error.Status, refused.Error.Reason));
    }
}
