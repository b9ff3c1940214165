using System.Diagnostics;
using System.Globalization;
using System.Text;
using BarBroker.Benchmarks.Calls;
using BarBroker.Client.Grpc;

namespace BarBroker.Benchmarks;

/// <summary>
/// Makes calls as it is told, with the SDK's own gRPC. A command and its answer are one line each, those that C++'s client knows, too, first:
/// <c>latency CALLS</c> and <c>throughput CONNECTIONS UNDER_WAY CALLS</c>; then <c>descriptors CALLS</c>, which is latency with a descriptor
/// in each reply, and <c>allocated</c>, the bytes that the server has allocated so far.
/// </summary>
internal sealed class BenchmarkClient
{
    private readonly string _socketPath;
    private readonly UnixGrpcChannel _channel;
    private UnixGrpcChannel[] _channels = [];

    private BenchmarkClient(string socketPath, UnixGrpcChannel channel)
    {
        _socketPath = socketPath;
        _channel = channel;
    }

    /// <summary>Returns at the end of the standard input.</summary>
    internal static async Task RunAsync(string socketPath)
    {
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(socketPath, CancellationToken.None);
        BenchmarkClient client = new(socketPath, channel);
        while (await Console.In.ReadLineAsync() is { } command)
        {
            await Console.Out.WriteLineAsync(await client.ObeyAsync(command));
        }

        await client.DisconnectAsync();
    }

    private async Task<string> ObeyAsync(string command) => command.Split(' ') switch
    {
        ["latency", string calls] => await MeasureAsync(Number(calls), CallEmptyAsync),
        ["descriptors", string calls] => await MeasureAsync(Number(calls), TakeDescriptorAsync),
        ["throughput", string connections, string underWay, string calls] =>
            await TimeAsync(Number(connections), Number(underWay), Number(calls)),
        ["allocated"] => (await CallAsync<Allocated>(_channel, "GetAllocated")).Bytes.ToString(CultureInfo.InvariantCulture),
        _ => throw new ArgumentException($"There is no command '{command}'."),
    };

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>One after the other; the nanoseconds of each.</summary>
    private async Task<string> MeasureAsync(int calls, Func<UnixGrpcChannel, Task> callAsync)
    {
        StringBuilder answer = new();
        for (int i = 0; i < calls; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await callAsync(_channel);
            answer.Append(CultureInfo.InvariantCulture, $"{Nanoseconds(start)} ");
        }

        return answer.ToString();
    }

    /// <summary>So many under way on each connection, until all are made; the nanoseconds of all together.</summary>
    private async Task<string> TimeAsync(int connections, int underWay, int calls)
    {
        if (_channels.Length != connections)
        {
            await DisconnectAsync();
            _channels = await Task.WhenAll(Enumerable.Range(0, connections)
                .Select(_ => UnixGrpcChannel.ConnectAsync(_socketPath, CancellationToken.None)));
        }

        int left = calls;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, connections * underWay).Select(worker => WorkAsync(_channels[worker % connections])));
        return Nanoseconds(start).ToString(CultureInfo.InvariantCulture);

        async Task WorkAsync(UnixGrpcChannel channel)
        {
            while (Interlocked.Decrement(ref left) >= 0)
            {
                await CallEmptyAsync(channel);
            }
        }
    }

    private async Task DisconnectAsync()
    {
        foreach (UnixGrpcChannel channel in _channels)
        {
            await channel.DisposeAsync();
        }
    }

    private static long Nanoseconds(long start) => (long)Stopwatch.GetElapsedTime(start).TotalNanoseconds;

    private static Task CallEmptyAsync(UnixGrpcChannel channel) => CallAsync<Empty>(channel, "EmptyCall");

    /// <summary>To the end: the descriptor is here, is the one that was announced, and is closed again.</summary>
    private static async Task TakeDescriptorAsync(UnixGrpcChannel channel)
    {
        using DescriptorInbox.AcquireScope scope = channel.Descriptors.BeginAcquire();
        SentDescriptor reply = await CallAsync<SentDescriptor>(channel, "TakeDescriptor");
        (await channel.Descriptors.ClaimAsync(reply.Serial, reply.Inode, CancellationToken.None)).Dispose();
    }

    private static Task<T> CallAsync<T>(UnixGrpcChannel channel, string method)
        where T : Google.Protobuf.IMessage<T>, new() =>
        channel.UnaryAsync<Empty, T>($"/barbroker.benchmark.Benchmark/{method}", new Empty(), default);
}
