using System.Collections.Immutable;
using BarBroker.Client.Grpc;
using BarBroker.Rpc;
using Microsoft.Extensions.Logging.Abstractions;

namespace BarBroker.Tests.Grpc;

/// <summary>A server on a socket in a directory of its own.</summary>
internal sealed class TestHost : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-wire-");

    private TestHost(GrpcServerOptions? limits, int maxConnections, TimeProvider timeProvider, ILoggerFactory loggers)
    {
        SocketPath = Path.Combine(_directory.FullName, "test.sock");
        GrpcServerOptions options = new()
        {
            Endpoints = [new GrpcEndpoint { SocketPath = SocketPath, Services = ImmutableArray.Create<IGrpcService>(Service), MaxConnections = maxConnections }],
            MaxReceiveMessageSize = limits?.MaxReceiveMessageSize ?? 1024 * 1024,
            PrefaceTimeout = limits?.PrefaceTimeout ?? TimeSpan.FromMinutes(1),
            MaxDescriptorsUnderWay = limits?.MaxDescriptorsUnderWay,
        };
        Server = new GrpcServer(options, loggers, timeProvider);
    }

    internal TestService Service { get; } = new();

    internal GrpcServer Server { get; }

    internal string SocketPath { get; }

    internal static async Task<TestHost> StartAsync(
        GrpcServerOptions? limits = null, int maxConnections = 100, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
    {
        TestHost host = new(limits, maxConnections, timeProvider ?? TimeProvider.System, loggers ?? NullLoggerFactory.Instance);
        await host.Server.StartAsync(TestContext.Current.CancellationToken);
        return host;
    }

    internal Task<UnixGrpcChannel> ConnectAsync() => UnixGrpcChannel.ConnectAsync(SocketPath, TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _directory.Delete(recursive: true);
    }
}
