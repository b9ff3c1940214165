using System.Collections.Immutable;
using BarBroker.Client.Grpc;
using BarBroker.Rpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>A server on a socket in a directory of its own.</summary>
internal sealed class TestHost : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-wire-");

    private TestHost(GrpcServerOptions? limits, int maxConnections, TimeProvider timeProvider)
    {
        SocketPath = Path.Combine(_directory.FullName, "test.sock");
        GrpcServerOptions options = new()
        {
            Endpoints = [new GrpcEndpoint { SocketPath = SocketPath, Services = ImmutableArray.Create<IGrpcService>(Service), MaxConnections = maxConnections }],
            MaxReceiveMessageSize = limits?.MaxReceiveMessageSize ?? 1024 * 1024,
            PrefaceTimeout = limits?.PrefaceTimeout ?? TimeSpan.FromMinutes(1),
            MaxDescriptorsUnderWay = limits?.MaxDescriptorsUnderWay,
        };
        Server = new GrpcServer(options, Log, timeProvider);
    }

    internal TestService Service { get; } = new();

    internal GrpcServer Server { get; }

    internal TestLog Log { get; } = new();

    /// <summary>The event ids from Warning up that the test expects; any other fails it.</summary>
    internal HashSet<int> ExpectedEvents { get; } = [];

    internal string SocketPath { get; }

    internal static async Task<TestHost> StartAsync(
        GrpcServerOptions? limits = null, int maxConnections = 100, TimeProvider? timeProvider = null)
    {
        TestHost host = new(limits, maxConnections, timeProvider ?? TimeProvider.System);
        await host.Server.StartAsync(TestContext.Current.CancellationToken);
        return host;
    }

    internal Task<UnixGrpcChannel> ConnectAsync() => UnixGrpcChannel.ConnectAsync(SocketPath, TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _directory.Delete(recursive: true);
        Assert.DoesNotContain(Log.Entries, entry => !ExpectedEvents.Contains(entry.EventId));
    }
}
