using System.Diagnostics;
using BarBroker.Benchmarks;
using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.Grpc.Health.V1;

namespace BarBroker.Hostile;

/// <summary>A well-behaved client: one call at a time, and leases between them.</summary>
internal sealed class Victim(UnixGrpcChannel channel, BarBrokerClient client) : IAsyncDisposable
{
    private const int CallsPerLease = 10;

    internal static async Task<Victim> ConnectAsync(string socket) => new(
        await UnixGrpcChannel.ConnectAsync(socket, CancellationToken.None), await BarBrokerClient.ConnectAsync(socket, CancellationToken.None));

    /// <summary>Works for so long.</summary>
    /// <param name="duration">A slice.</param>
    /// <param name="calls">Takes how long each empty call took.</param>
    /// <param name="leases">Takes how long each lease took, from acquire to released.</param>
    internal async Task WorkAsync(TimeSpan duration, Samples calls, Samples leases)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < duration)
        {
            for (int call = 0; call < CallsPerLease; call++)
            {
                await calls.MeasureAsync(() => channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Check", new HealthCheckRequest(), default));
            }

            await leases.MeasureAsync(async () =>
            {
                BarLease lease = await client.AcquireAsync("board", "left", LeaseAccess.ReadWrite, CancellationToken.None);
                await lease.ReleaseAsync(CancellationToken.None);
            });
        }
    }

    public async ValueTask DisposeAsync()
    {
        await client.DisposeAsync();
        await channel.DisposeAsync();
    }
}
