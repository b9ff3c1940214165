using System.Collections.Immutable;
using BarBroker.Client.Grpc;
using BarBroker.Rpc;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>A server on a socket in a directory of its own.</summary>
internal sealed class TestHost : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-wire-");

    private TestHost(GrpcServerOptions? limits, UserLimits users, TimeProvider timeProvider)
    {
        SocketPath = Path.Combine(_directory.FullName, "test.sock");
        GrpcServerOptions options = new()
        {
            Endpoints =
            [
                new GrpcEndpoint
                {
                    SocketPath = SocketPath,
                    Services = ImmutableArray.Create<IGrpcService>(Service),
                    MaxConnections = users.Connections,
                    MaxConnectionsPerUser = users.ConnectionsPerUser,
                    MaxSilentPerUser = users.SilentPerUser,
                    MaxCallsPerUser = users.CallsPerUser,
                    Pace = users.Pace,
                },
            ],
            MaxReceiveMessageSize = limits?.MaxReceiveMessageSize ?? 1024 * 1024,
            PrefaceTimeout = limits?.PrefaceTimeout ?? TimeSpan.FromMinutes(1),
            RequestHeadersTimeout = limits?.RequestHeadersTimeout ?? GrpcLimits.RequestHeadersTimeout,
            MaxDescriptorsUnderWay = limits?.MaxDescriptorsUnderWay,
            MaxDescriptorsUnderWayPerUser = limits?.MaxDescriptorsUnderWayPerUser ?? limits?.MaxDescriptorsUnderWay,
            Counters = Counters,
        };
        Server = new GrpcServer(options, Log, timeProvider);
    }

    /// <summary>For tests of what else stands against those who would be slowed down first.</summary>
    internal static PaceLimit Unpaced { get; } = new(BurstMicroseconds: int.MaxValue, MicrosecondsPerSecond: int.MaxValue);

    internal WireCounters Counters { get; } = new();

    internal TestService Service { get; } = new();

    internal GrpcServer Server { get; }

    internal TestLog Log { get; } = new();

    /// <summary>The event ids from Warning up that the test expects; any other fails it.</summary>
    internal HashSet<int> ExpectedEvents { get; } = [];

    internal string SocketPath { get; }

    internal static async Task<TestHost> StartAsync(
        GrpcServerOptions? limits = null, int maxConnections = 100, TimeProvider? timeProvider = null, UserLimits? users = null)
    {
        TestHost host = new(limits, users ?? new UserLimits(maxConnections, 256, 128, 1024), timeProvider ?? TimeProvider.System);
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
