using System.Globalization;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd;

/// <summary><c>bar-lease run</c>: programs that know nothing of gRPC.</summary>
public sealed class BarLeaseScenarios(Machine machine)
{
    private const string Shell = "/bin/sh";

    /// <summary>Names what the environment says and the descriptors from 3 on. Not by a pattern: the shell has a descriptor of its own while it reads a directory.</summary>
    private const string OpenFrom3 =
        """n=3; while [ -e /proc/$$/fd/$n ]; do open="$open $n"; n=$((n + 1)); done; echo $((LISTEN_PID - $$)) $LISTEN_FDS $LISTEN_FDNAMES$open""";

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_program_finds_its_lease_and_sees_its_end()
    {
        await using ExampleProcess lease = Run("left", [], Stage.Leased);
        Assert.Equal("left, 65536 bytes", await lease.ReadLineAsync());
        Assert.Equal($"identification 0x{Machine.Identification:x8}, wrote 1, reads back 1", await lease.ReadLineAsync());

        await RevokeAsync("left");
        Assert.Equal("revoked", await lease.ReadLineAsync());
        Assert.Equal(3, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_program_sees_its_device_suspended_and_goes_on_when_it_is_back()
    {
        await using ExampleProcess lease = Run("left", [], Stage.Leased);
        Assert.Equal("left, 65536 bytes", await lease.ReadLineAsync());
        Assert.Equal($"identification 0x{Machine.Identification:x8}, wrote 1, reads back 1", await lease.ReadLineAsync());

        await machine.AdministrateAsync("barbroker.v1.Admin/SuspendDevice", $$"""{"device": "{{Machine.Board}}", "mode": "SUSPEND_MODE_MEMORY_OFF"}""");
        Assert.Equal("suspended", await lease.ReadLineAsync());
        await machine.AdministrateAsync("barbroker.v1.Admin/ResumeDevice", $$"""{"device": "{{Machine.Board}}"}""");

        await RevokeAsync("left");
        Assert.Equal("revoked", await lease.ReadLineAsync(skip: "suspended"));
        Assert.Equal(3, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task What_it_leased_is_free_when_the_program_has_ended()
    {
        for (int i = 0; i < 2; i++)
        {
            await using ExampleProcess lease = Run("left", [], Shell, "-c", "exit 0");
            Assert.Equal((0, ""), (await lease.ExitAsync(), lease.Errors));
        }
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task The_descriptors_are_where_and_for_whom_the_environment_says()
    {
        await using ExampleProcess lease = Run(
            "left", ["--window", "status", "--name", "doorbell", "--name", "state", "--access", "read-only"],
            Shell, "-c", OpenFrom3);
        Assert.Equal("0 2 doorbell:state 3 4", await lease.ReadLineAsync());
        Assert.Equal(0, await lease.ExitAsync());
    }

    [Theory]
    [Trait(Only.Machine, Only.Host)]
    [InlineData("exit 7", 7)]
    [InlineData("kill -KILL $$", 137)]
    [InlineData("kill -TERM $$", 143)]
    public async Task The_programs_end_is_passed_on(string script, int status)
    {
        await using ExampleProcess lease = Run("left", [], Shell, "-c", script);
        Assert.Equal(status, await lease.ExitAsync());
    }

    [Theory]
    [Trait(Only.Machine, Only.Host)]
    [InlineData("INT", 2)]
    [InlineData("TERM", 15)]
    [InlineData("HUP", 1)]
    [InlineData("QUIT", 3)]
    [InlineData("USR1", 10)]
    [InlineData("USR2", 12)]
    public async Task Signals_are_passed_on(string name, int signal)
    {
        await using ExampleProcess lease = Run("left", [], Shell, "-c", Waiting(name));
        Assert.Equal("ready", await lease.ReadLineAsync());
        lease.Signal(signal);
        Assert.Equal($"got {name}", await lease.ReadLineAsync());
        Assert.Equal(5, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task The_end_of_a_lease_is_said_and_the_program_told_if_so_wished()
    {
        await using ExampleProcess lease = Run("left", ["--on-end", "TERM"], Shell, "-c", Waiting("TERM"));
        Assert.Equal("ready", await lease.ReadLineAsync());
        await RevokeAsync("left");
        Assert.Equal("got TERM", await lease.ReadLineAsync());
        Assert.Equal(5, await lease.ExitAsync());
        Assert.Matches("^bar-lease: lease [0-9]+ \\(board, window 'left'\\) is over: .+\\.\n$", lease.Errors);
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task A_program_may_be_killed_when_its_lease_ends()
    {
        await using ExampleProcess lease = Run("left", ["--on-end", "KILL"], Shell, "-c", "echo ready; exec sleep 1000");
        Assert.Equal("ready", await lease.ReadLineAsync());
        await RevokeAsync("left");
        Assert.Equal(137, await lease.ExitAsync());
        Assert.Contains("is over", lease.Errors, StringComparison.Ordinal);
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task A_signal_that_was_to_be_ignored_is_ignored_by_both()
    {
        string command = string.Join(' ', [.. Stage.BarLease().ArgumentList, .. Arguments("left", [])]);
        await using ExampleProcess lease = ExampleProcess.StartShell(
            Users.Alice, $$"""trap '' HUP; exec {{Environment.ProcessPath}} {{command}} -- {{Shell}} -c 'kill -HUP $PPID $$; echo both live' """);
        Assert.Equal("both live", await lease.ReadLineAsync());
        Assert.Equal(0, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_program_outlives_bar_lease_and_its_lease_does_not()
    {
        await using ExampleProcess lease = Run("left", [], Stage.Leased);
        await lease.ReadLineAsync();
        ulong id = await FindLeaseAsync("left");
        Task ended = machine.Broker.HearEndOfAsync(id);
        await lease.KillAsync();
        await ended;
        Assert.StartsWith("identification", await lease.ReadLineAsync(), StringComparison.Ordinal);
        Assert.Equal("revoked", await lease.ReadLineAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task Arguments_that_are_no_text_arrive_as_they_are()
    {
        // Octal 377 is no UTF-8. The shell makes it, since we can't.
        string command = string.Join(' ', [.. Stage.BarLease().ArgumentList, .. Arguments("left", [])]);
        await using ExampleProcess lease = ExampleProcess.StartShell(
            Users.Alice, $$"""exec {{Environment.ProcessPath}} {{command}} -- {{Shell}} -c 'printf %s "$1" | od -A n -t x1' sh "$(printf 'a\377b')" """);
        Assert.Equal(" 61 ff 62", await lease.ReadLineAsync());
        Assert.Equal(0, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task Variables_that_only_begin_like_ours_are_the_programs()
    {
        string command = string.Join(' ', [.. Stage.BarLease().ArgumentList, .. Arguments("left", [])]);
        await using ExampleProcess lease = ExampleProcess.StartShell(
            Users.Alice,
            $$"""LISTEN_ADDRESS=here LISTEN_FDS=7 LISTEN_PIDFDID=1 exec {{Environment.ProcessPath}} {{command}} -- {{Shell}} -c 'echo $LISTEN_ADDRESS $LISTEN_FDS $LISTEN_PIDFDID' """);
        Assert.Equal("here 1", await lease.ReadLineAsync());
        Assert.Equal(0, await lease.ExitAsync());
    }

    [Fact]
    [Trait(Only.Machine, Only.Host)]
    public async Task Options_behind_the_program_are_not_taken_for_its_arguments()
    {
        await using ExampleProcess lease = ExampleProcess.StartBarLease(Users.Alice, ["run", Shell, .. Arguments("left", [])[1..]]);
        Assert.Equal(125, await lease.ExitAsync());
        Assert.Contains("put -- before the program", lease.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [Trait(Only.Machine, Only.Host)]
    [InlineData("there-is-no-such-program", 127, "There is no 'there-is-no-such-program' in PATH.")]
    [InlineData("/there/is/no/such", 127, "'/there/is/no/such' is not there")]
    [InlineData("/etc/passwd", 126, "'/etc/passwd' can't be run: Permission denied.")]
    public async Task A_program_that_can_not_be_run_is_told_from_one_that_fails(string program, int status, string complaint)
    {
        await using ExampleProcess lease = Run("left", [], program);
        Assert.Equal(status, await lease.ExitAsync());
        Assert.Contains(complaint, lease.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [Trait(Only.Machine, Only.Host)]
    [InlineData("right", "", "ot granted")]
    [InlineData("left", "--socket /nowhere", "/nowhere")]
    [InlineData("left", "--name one --name two", "There are 1 --window and 2 --name")]
    [InlineData("left", "--name a:b", "'a:b' can't be the name of a descriptor")]
    [InlineData("left", "--access write", "'write'")]
    [InlineData("left", "--on-end HUP", "'HUP'")]
    public async Task Without_a_lease_nothing_is_run(string window, string options, string complaint)
    {
        await using ExampleProcess lease = Run(window, options.Split(' ', StringSplitOptions.RemoveEmptyEntries), Shell, "-c", "exit 0");
        Assert.Equal(125, await lease.ExitAsync());
        Assert.Contains(complaint, lease.Errors, StringComparison.Ordinal);
    }

    /// <summary>A script that waits for a signal, says that it came and ends with 5.</summary>
    private static string Waiting(string signal) => $"trap 'kill $!; echo got {signal}; exit 5' {signal}; sleep 1000 & echo ready; wait";

    private ExampleProcess Run(string window, string[] options, params string[] program)
        => ExampleProcess.StartBarLease(Users.Alice, [.. Arguments(window, options), "--", .. program]);

    private string[] Arguments(string window, string[] options)
    {
        string[] socket = options.Contains("--socket") ? [] : ["--socket", machine.Broker.ClientSocket];
        return ["run", "--device", Machine.Board, "--window", window, .. socket, .. options];
    }

    private Task<JsonNode> RevokeAsync(string window)
        => machine.AdministrateAsync("barbroker.v1.Admin/Revoke", $$$"""{"window": {"device": "{{{Machine.Board}}}", "window": "{{{window}}}"}}""");

    private async Task<ulong> FindLeaseAsync(string window)
    {
        JsonNode answer = await machine.AdministrateAsync("barbroker.v1.Admin/ListLeases", $$"""{"device": "{{Machine.Board}}"}""");
        JsonNode held = answer["leases"]!.AsArray().Single(held => (string?)held!["lease"]!["window"] == window)!;
        return ulong.Parse((string)held["lease"]!["leaseId"]!, CultureInfo.InvariantCulture);
    }
}
