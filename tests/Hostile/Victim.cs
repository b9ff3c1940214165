using System.Diagnostics;
using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.Grpc.Health.V1;

namespace BarBroker.Hostile;

/// <summary>
/// A well-behaved client: empty calls, leases, and connections that are made for one call, each begun at a fixed rate. How long one took is
/// counted from when it was due, whatever became of those before: so a broker that stands still for a moment is seen by everything that was
/// due in that moment, not by one call. Together they are some 20 % of a processor.
/// </summary>
internal sealed class Victim : IAsyncDisposable
{
    private const ulong Page = 4096;
    private const ulong Pages = 1024;

    private readonly string _socket;
    private readonly UnixGrpcChannel _channel;
    private readonly BarBrokerClient _client;
    private ulong _nextPage;

    private Victim(string socket, UnixGrpcChannel channel, BarBrokerClient client)
    {
        _socket = socket;
        _channel = channel;
        _client = client;
    }

    internal static async Task<Victim> ConnectAsync(string socket) => new(
        socket, await UnixGrpcChannel.ConnectAsync(socket, CancellationToken.None), await BarBrokerClient.ConnectAsync(socket, CancellationToken.None));

    /// <summary>Works for so long, and returns when the last of it is done.</summary>
    internal async Task WorkAsync(TimeSpan duration, Noticed noticed)
    {
        Arrivals calls = new(TimeSpan.FromMilliseconds(5), () => CheckAsync(_channel));
        Arrivals leases = new(TimeSpan.FromMilliseconds(40), LeaseAsync);
        Arrivals connections = new(TimeSpan.FromMilliseconds(100), ConnectAsync);
        Arrivals.RunAll([calls, leases, connections], duration);
        noticed.Failures += await calls.EndAsync(noticed.Calls) + await leases.EndAsync(noticed.Leases) + await connections.EndAsync(noticed.Connections);
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _channel.DisposeAsync();
    }

    private static async Task<long> CheckAsync(UnixGrpcChannel channel)
    {
        await channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Check", new HealthCheckRequest(), default);
        return Stopwatch.GetTimestamp();
    }

    /// <summary>From acquire to released. Each has a page of its own, since one may still be held when the next is due.</summary>
    private async Task<long> LeaseAsync()
    {
        BarLease lease = await _client.AcquireAsync("board", 2, _nextPage++ % Pages * Page, Page, LeaseAccess.ReadWrite, CancellationToken.None);
        await lease.ReleaseAsync(CancellationToken.None);
        return Stopwatch.GetTimestamp();
    }

    private async Task<long> ConnectAsync()
    {
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(_socket, CancellationToken.None);
        return await CheckAsync(channel);
    }
}
