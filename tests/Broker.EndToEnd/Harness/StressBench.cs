using System.Globalization;
using System.Text.Json.Nodes;
using BarBroker.Probe;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// A broker of its own on a simulated device with pages for everybody, and what it takes to say that it is as it was: no descriptor more, no
/// lease, no error in its log. BAR_BROKER_STRESS_ROUNDS (1) makes everything that many times as long.
/// </summary>
internal sealed class StressBench : IAsyncDisposable
{
    private const string Board = "board";
    private const int Bar = 2;

    /// <summary>Pages of each user: as many as 200 connections take with 64 Acquires on each.</summary>
    private const ulong PagesPerUser = 200 * 64;

    /// <summary>Pages of each of those who are only there for what they take together with Alice.</summary>
    private const ulong PagesOfCrowd = 512;

    private readonly int _descriptors;

    private StressBench(BrokerProcess broker, ProbeProcess alice, ProbeProcess admin, int descriptors)
    {
        Broker = broker;
        Alice = alice;
        Admin = admin;
        _descriptors = descriptors;
    }

    /// <summary>How many times longer than usual.</summary>
    internal static int Rounds { get; } = int.Parse(Environment.GetEnvironmentVariable("BAR_BROKER_STRESS_ROUNDS") ?? "1", CultureInfo.InvariantCulture);

    /// <summary>With Alice, as many as one user's part of the budget goes into all of it.</summary>
    internal static IReadOnlyList<int> Crowd { get; } = [Users.Carol, Users.Dave, Users.Erin];

    internal BrokerProcess Broker { get; }

    internal ProbeProcess Alice { get; }

    internal ProbeProcess Admin { get; }

    /// <param name="user">Root, or who the broker is to run as.</param>
    /// <param name="descriptorLimit">Its LimitNOFILE=.</param>
    /// <param name="isHeard">Somebody reads what it logs.</param>
    internal static async Task<StressBench> StartAsync(int user = Users.Root, int? descriptorLimit = null, bool isHeard = true)
    {
        BrokerProcess broker = await BrokerProcess.StartAsync(Policy, user, descriptorLimit, isHeard);
        ProbeProcess alice = ProbeProcess.Start(Users.Alice);
        ProbeProcess admin = ProbeProcess.Start(Users.Root);

        // The sockets that a broker opens when it is first used, it keeps: the count begins after that.
        await alice.AskAsync(RequestOf(Users.Alice, broker, ProbeOperation.StressAcquire, new ProbeStress(Connections: 2, Calls: 8, Streams: 1)));
        await CountLeasesAsync(admin, broker);
        await Patience.UntilAsync(() => !CountedFiles(broker).Any(IsOfClient), () => $"The broker has {Show(broker)}.");
        return new StressBench(broker, alice, admin, CountedFiles(broker).Count());
    }

    /// <summary>What a user's probe is to be asked, to do that.</summary>
    internal ProbeRequest RequestOf(int user, ProbeOperation operation, ProbeStress stress) => RequestOf(user, Broker, operation, stress);

    /// <summary>As an admin counts them.</summary>
    internal Task<int> CountLeasesAsync() => CountLeasesAsync(Admin, Broker);

    /// <summary>Waits until so many descriptors were refused because their user has as many under way as one may have.</summary>
    internal async Task UntilRefusedAsync(int count)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        for (int refused = await CountRefusedAsync(); refused < count; refused = await CountRefusedAsync())
        {
            Assert.False(limit.IsCancellationRequested, $"The broker refused {refused} descriptors.");
        }
    }

    /// <summary>Waits until there are that many leases. The broker tells admins, but not when they change.</summary>
    internal async Task UntilLeasesAsync(Func<int, bool> condition)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        for (int leases = await CountLeasesAsync(); !condition(leases); leases = await CountLeasesAsync())
        {
            Assert.False(limit.IsCancellationRequested, $"The broker has {leases} leases.");
        }
    }

    /// <summary>Once all clients of a scenario are gone: the broker has nothing left of them, and has no error to tell.</summary>
    internal async Task IsAsItWasAsync()
    {
        await UntilLeasesAsync(leases => leases == 0);
        await Patience.UntilAsync(() => CountedFiles(Broker).Count() <= _descriptors, () => $"The broker had {_descriptors} descriptors, and now has {Show(Broker)}.");
        Assert.Empty(Broker.LoggedErrors());
    }

    public async ValueTask DisposeAsync()
    {
        await Alice.DisposeAsync();
        await Admin.DisposeAsync();
        await Broker.DisposeAsync();
    }

    private static async Task<int> CountLeasesAsync(ProbeProcess admin, BrokerProcess broker)
    {
        JsonNode answer = await admin.CallAsync(broker.AdminSocket, "barbroker.v1.Admin/ListLeases", "{}");
        return answer["leases"]?.AsArray().Count ?? 0;
    }

    private async Task<int> CountRefusedAsync()
    {
        JsonNode answer = await Admin.CallAsync(Broker.AdminSocket, "barbroker.v1.Admin/GetCounters", "{}");
        return answer["counters"]!.AsArray()
            .Where(static counter => (string?)counter!["name"] == "bar_broker.wire.descriptors.refused" && (string?)counter["tags"]?["kind"] == "user")
            .Sum(static counter => int.Parse((string?)counter!["value"] ?? "0", CultureInfo.InvariantCulture));
    }

    private static ProbeRequest RequestOf(int user, BrokerProcess broker, ProbeOperation operation, ProbeStress stress) => new()
    {
        Operation = operation,
        Socket = broker.ClientSocket,
        Device = Board,
        Bar = Bar,
        Offset = OffsetOf(user),
        Stress = stress,
    };

    private static ulong OffsetOf(int user) => Machine.Page * user switch
    {
        Users.Alice => 0,
        Users.Bob => PagesPerUser,
        _ => (2 * PagesPerUser) + (PagesOfCrowd * (ulong)(user - Users.Carol)),
    };

    private static bool IsOfClient(string target) => target.Contains("bar-broker:", StringComparison.Ordinal) || target.Contains("pidfd", StringComparison.Ordinal);

    /// <summary>All but the program's own: an assembly, or what a debugger knows of it, is opened when something in it is first needed.</summary>
    private static IEnumerable<string> CountedFiles(BrokerProcess broker) => broker.OpenFiles().Where(target => Path.GetExtension(target) is not (".dll" or ".pdb"));

    private static string Show(BrokerProcess broker) => string.Join(
        ", ", CountedFiles(broker).Select(target => target.Split('[')[0]).GroupBy(target => target).Select(kind => $"{kind.Count()} of {kind.Key}"));

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "{{Users.ClientGroup}}",
          "devices": { "{{Board}}": { "simulated": { "bars": { "{{Bar}}": {{((2 * PagesPerUser) + (PagesOfCrowd * (ulong)Crowd.Count)) * Machine.Page}} } } } },
          "grants": [
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "areas": [{{Area(Users.Alice)}}], "access": "read-write" },
            { "uid": {{Users.Bob}}, "device": "{{Board}}", "areas": [{{Area(Users.Bob)}}], "access": "read-write" },
            {{string.Join(", ", Crowd.Select(user => $$"""{ "uid": {{user}}, "device": "{{Board}}", "areas": [{{Area(user, PagesOfCrowd)}}], "access": "read-write" }"""))}},
          ],
        }
        """;

    private static string Area(int user, ulong pages = PagesPerUser) => $$"""{ "bar": {{Bar}}, "offset": {{OffsetOf(user)}}, "length": {{pages * Machine.Page}} }""";
}
