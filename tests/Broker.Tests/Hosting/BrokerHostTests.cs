using BarBroker.Client.Grpc;
using BarBroker.Commands;
using BarBroker.Grpc;
using BarBroker.Hosting;
using BarBroker.Policy;
using BarBroker.V1;
using Microsoft.Extensions.Logging.Abstractions;
using Spectre.Console;
using Xunit;

namespace BarBroker.Tests.Hosting;

/// <summary>The whole daemon in this process, on real sockets.</summary>
public sealed class BrokerHostTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("host-");

    private string RuntimeDirectory => Path.Combine(_directory.FullName, "run");

    private string AdminSocket => Path.Combine(RuntimeDirectory, BrokerHost.AdminSocketName);

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task It_serves_status_until_it_is_told_to_stop_and_takes_its_sockets_along()
    {
        using CancellationTokenSource stop = new();
        TaskCompletionSource serving = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<bool> run = new BrokerHost(NullLoggerFactory.Instance, TimeProvider.System) { Serving = serving.SetResult }.RunAsync(ReadPolicy(), "policy.json", stop.Token);
        await Task.WhenAny(serving.Task, run);

        using StringWriter output = new();
        using StringWriter errors = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) });
        Assert.Equal(ExitCodes.Success, await StatusCommand.RunAsync(AdminSocket, console, errors, TestContext.Current.CancellationToken));
        Assert.StartsWith("sim0  simulated  0 leases\n  BAR 2  0x100000       [....", output.ToString(), StringComparison.Ordinal);

        await stop.CancelAsync();
        Assert.True(await run);
        Assert.DoesNotContain(Directory.GetFiles(RuntimeDirectory), path => path.EndsWith(".sock", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_request_far_longer_than_any_real_one_is_refused_before_it_is_read()
    {
        using CancellationTokenSource stop = new();
        TaskCompletionSource serving = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<bool> run = new BrokerHost(NullLoggerFactory.Instance, TimeProvider.System) { Serving = serving.SetResult }.RunAsync(ReadPolicy(), "policy.json", stop.Token);
        await Task.WhenAny(serving.Task, run);
        await using (UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(AdminSocket, TestContext.Current.CancellationToken))
        {
            RpcException refused = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<ListLeasesRequest, ListLeasesResponse>(
                "/barbroker.v1.Admin/ListLeases", new ListLeasesRequest { Device = new string('x', 16 * 1024) }, default));

            Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);

            // And the admin sees it.
            GetCountersResponse counters = await channel.UnaryAsync<GetCountersRequest, GetCountersResponse>("/barbroker.v1.Admin/GetCounters", new GetCountersRequest(), default);
            Assert.Equal((1, "{call}"), Read(counters, "bar_broker.wire.calls.refused", "kind", "message_too_large"));
            Assert.Equal((1, "{connection}"), Read(counters, "bar_broker.wire.connections", "endpoint", "admin.sock"));
            Assert.Equal((1, "{call}"), Read(counters, "bar_broker.wire.calls", "endpoint", "admin.sock"));
            Assert.Equal((0, "{connection}"), Read(counters, "bar_broker.wire.connections", "endpoint", "broker.sock"));
        }

        await stop.CancelAsync();
        Assert.True(await run);
    }

    [Fact]
    public async Task Status_without_a_broker_fails_with_the_cure()
    {
        using StringWriter errors = new();

        Assert.Equal(ExitCodes.Failure, await StatusCommand.RunAsync(AdminSocket, AnsiConsole.Console, errors, TestContext.Current.CancellationToken));

        Assert.Contains("the broker is not running", errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_group_that_is_not_there_stops_the_start_with_the_cure()
    {
        BrokerPolicy policy = PolicyReader.Read("""{ "clientGroup": "no-such-group", "devices": { "x": { "simulated": { "bars": { "0": 4096 } } } } }"""u8, "policy.json");

        StartException exception = await Assert.ThrowsAsync<StartException>(
            () => new BrokerHost(NullLoggerFactory.Instance, TimeProvider.System).RunAsync(policy, "policy.json", CancellationToken.None));

        Assert.Contains("groupadd --system no-such-group", exception.Message, StringComparison.Ordinal);
    }

    /// <summary>A group that this process can give a file to, root or not.</summary>
    private static string OwnGroup() => File.ReadLines("/proc/self/status").First(line => line.StartsWith("Gid:", StringComparison.Ordinal)).Split('\t')[1];

    private static (long, string) Read(GetCountersResponse response, string name, string tag, string value)
    {
        Counter counter = Assert.Single(response.Counters, counter => counter.Name == name && counter.Tags[tag] == value);
        return (counter.Value, counter.Unit);
    }

    private BrokerPolicy ReadPolicy() => PolicyReader.Read(
        System.Text.Encoding.UTF8.GetBytes($$"""
            {
              "runtimeDirectory": "{{RuntimeDirectory}}",
              "clientGroup": {{OwnGroup()}},
              "devices": { "sim0": { "simulated": { "bars": { "2": "1MiB" } } } }
            }
            """),
        "policy.json");
}
