using BarBroker.Rpc;
using Microsoft.Extensions.Logging.Abstractions;

namespace BarBroker.Benchmarks;

/// <summary>The broker's gRPC server with <see cref="BenchmarkService"/> on it, in a process of its own.</summary>
internal static class BenchmarkServer
{
    /// <summary>Says that it serves, and returns at the end of the standard input.</summary>
    internal static async Task RunAsync(string socketPath)
    {
        using BenchmarkService service = new();
        GrpcServerOptions options = new() { Endpoints = [new GrpcEndpoint { SocketPath = socketPath, Services = [service] }] };
        await using GrpcServer server = new(options, NullLoggerFactory.Instance, TimeProvider.System);
        await server.StartAsync(CancellationToken.None);
        await Console.Out.WriteLineAsync($"serving {socketPath}");
        await Console.In.ReadToEndAsync();
    }
}
