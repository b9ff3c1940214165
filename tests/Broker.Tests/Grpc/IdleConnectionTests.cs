using BarBroker.Client.Grpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>A lease lives as long as its connection: nothing ends one that is merely quiet.</summary>
public sealed class IdleConnectionTests
{
    // Kestrel looks for idle connections once a second, by a clock of its own.
    private static readonly TimeSpan TwoHeartbeats = TimeSpan.FromSeconds(2.5);

    [Fact]
    public async Task A_connection_without_a_call_stays_open()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();

        Task closed = Task.Delay(Timeout.InfiniteTimeSpan, channel.Closed);
        Task later = Task.Delay(TwoHeartbeats, TestContext.Current.CancellationToken);
        Assert.Same(later, await Task.WhenAny(closed, later));
    }
}
