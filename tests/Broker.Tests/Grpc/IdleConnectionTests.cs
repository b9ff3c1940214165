using BarBroker.Client.Grpc;
using Xunit;

namespace BarBroker.Tests.Grpc;

/// <summary>A lease lives as long as its connection: nothing ends one that is merely quiet.</summary>
public sealed class IdleConnectionTests
{
    // Kestrel looks for idle connections once a second, by a clock of its own that no option replaces: so the time must really pass.
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

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_quiet_connection_is_sent_nothing_not_even_a_ping(bool withCall)
    {
        await using TestHost host = await TestHost.StartAsync();
        host.Service.OnUnary = static async (request, context) =>
        {
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return request;
        };
        using FrameClient client = new(host.SocketPath);
        if (withCall)
        {
            client.AddHeaders(1, TestService.UnaryPath);
            client.AddData(1, RawClient.Frame(0, 0), end: true);
        }

        // Its answer comes after everything that the start of a connection brings.
        client.AddPing();
        client.Flush();
        await client.ReadAsync(FrameType.Ping);

        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        over.CancelAfter(TwoHeartbeats);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.WaitAsync(over.Token));
    }
}
