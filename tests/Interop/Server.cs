using System.Collections.Immutable;
using System.Runtime.InteropServices;
using BarBroker.Rpc;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace BarBroker.Interop;

/// <summary>Our gRPC server with <see cref="TestService"/> on it, for clients that others wrote.</summary>
internal static class Server
{
    /// <summary>What gRPC allows by default: payloads of the cases are larger than any request to the broker.</summary>
    private const int MaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>For calls under way at the end; there are none once a client is through.</summary>
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Returns after SIGTERM.</summary>
    internal static async Task RunAsync(string socketPath)
    {
        TaskCompletionSource stop = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            stop.TrySetResult();
        });
        using ILoggerFactory loggers = LoggerFactory.Create(builder => builder
            .SetMinimumLevel(LogLevel.Debug)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddSimpleConsole(options => options.SingleLine = true)
            .AddConsole(options => options.LogToStandardErrorThreshold = LogLevel.Trace));
        GrpcServerOptions options = new()
        {
            Endpoints = [new GrpcEndpoint { SocketPath = socketPath, Services = ImmutableArray.Create<IGrpcService>(new TestService()) }],
            MaxReceiveMessageSize = MaxReceiveMessageSize,
        };
        await using GrpcServer server = new(options, loggers, TimeProvider.System);
        await server.StartAsync(CancellationToken.None);
        await Console.Out.WriteLineAsync($"serving {socketPath}");
        await stop.Task;
        using CancellationTokenSource limit = new(StopTimeout);
        await server.StopAsync(limit.Token);
    }
}
