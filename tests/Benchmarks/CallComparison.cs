using System.Globalization;

namespace BarBroker.Benchmarks;

/// <summary>
/// The same calls on this project's gRPC and on C++'s, client and server in processes of their own each, over Unix sockets; and descriptors
/// to and fro on a bare one. All take turns in slices, so that what else the machine does hits all.
/// </summary>
internal static class CallComparison
{
    private const int WarmUpRounds = 60;
    private const int Rounds = 200;
    private const int CallsPerRound = 50;
    private const int ThroughputWarmUpRounds = 5;
    private const int ThroughputRounds = 15;
    private const int CallsPerThroughputRound = 10_000;
    private const int CountedCalls = 20_000;

    internal static async Task RunAsync()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("bar-broker-bench-");
        try
        {
            string ourSocket = Path.Combine(directory.FullName, "ours.sock");
            string cppSocket = Path.Combine(directory.FullName, "cpp.sock");
            await using HelperProcess ourServer = await HelperProcess.ServeAsync(HelperProcess.StartOwn("serve", ourSocket));
            await using HelperProcess cppServer = await HelperProcess.ServeAsync(HelperProcess.StartNative("grpc-server", cppSocket));
            await using HelperProcess ours = HelperProcess.StartOwn("call", ourSocket);
            await using HelperProcess cpp = HelperProcess.StartNative("grpc-client", cppSocket);
            await CompareLatencyAsync(ours, cpp);
            await CompareThroughputAsync(ours, cpp, connections: 1, underWay: 64);
            await CompareThroughputAsync(ours, cpp, connections: 16, underWay: 4);
            await CountAllocationsAsync(ours, "empty_call", "latency");
            await CountAllocationsAsync(ours, "descriptor_call", "descriptors");
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>One call under way at a time.</summary>
    private static async Task CompareLatencyAsync(HelperProcess ours, HelperProcess cpp)
    {
        await using HelperProcess pingPong = HelperProcess.StartNative("descriptor-ping-pong");
        Samples empty = new(), emptyCpp = new(), descriptor = new(), bare = new();
        for (int round = -WarmUpRounds; round < Rounds; round++)
        {
            if (round == 0)
            {
                (empty, emptyCpp, descriptor, bare) = (new Samples(), new Samples(), new Samples(), new Samples());
            }

            await MeasureAsync(empty, ours, "latency");
            await MeasureAsync(emptyCpp, cpp, "latency");
            await MeasureAsync(descriptor, ours, "descriptors");
            await MeasureAsync(bare, pingPong, "latency");
        }

        empty.Print("empty_call");
        emptyCpp.Print("empty_call_cpp");
        descriptor.Print("descriptor_call");
        bare.Print("descriptor_ping_pong");
        empty.PrintRatio("empty_call_to_cpp", emptyCpp);
        descriptor.PrintRatio("descriptor_call_to_empty_call", empty);
        descriptor.PrintRatio("descriptor_call_to_ping_pong", bare);
    }

    private static async Task MeasureAsync(Samples samples, HelperProcess client, string command)
    {
        string answer = await client.AskAsync($"{command} {CallsPerRound}");
        foreach (string nanoseconds in answer.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            samples.AddNanoseconds(long.Parse(nanoseconds, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>Calls per second with so many under way on each of so many connections.</summary>
    private static async Task CompareThroughputAsync(HelperProcess ours, HelperProcess cpp, int connections, int underWay)
    {
        string command = $"throughput {connections} {underWay} {CallsPerThroughputRound}";
        double ourSeconds = 0, cppSeconds = 0;
        for (int round = -ThroughputWarmUpRounds; round < ThroughputRounds; round++)
        {
            if (round == 0)
            {
                (ourSeconds, cppSeconds) = (0, 0);
            }

            ourSeconds += await AskNumberAsync(ours, command) / 1e9;
            cppSeconds += await AskNumberAsync(cpp, command) / 1e9;
        }

        double calls = ThroughputRounds * CallsPerThroughputRound;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"bench calls_per_second connections={connections} under_way_each={underWay} ours={calls / ourSeconds:0} cpp={calls / cppSeconds:0} ratio={cppSeconds / ourSeconds:0.00}"));
    }

    /// <summary>What the server's process allocates for a call once everything is warm, one call under way at a time.</summary>
    private static async Task CountAllocationsAsync(HelperProcess ours, string name, string command)
    {
        double before = await AskNumberAsync(ours, "allocated");
        await ours.AskAsync($"{command} {CountedCalls}");
        double perCall = (await AskNumberAsync(ours, "allocated") - before) / CountedCalls;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"bench server_allocates call={name} bytes_per_call={perCall:0} calls={CountedCalls}"));
    }

    private static async Task<double> AskNumberAsync(HelperProcess client, string command) =>
        double.Parse(await client.AskAsync(command), CultureInfo.InvariantCulture);
}
