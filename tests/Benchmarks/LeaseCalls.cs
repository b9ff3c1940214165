using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.EndToEnd.Harness;
using BarBroker.Grpc.Health.V1;

namespace BarBroker.Benchmarks;

/// <summary>A whole lease (acquire, map, release) beside an empty call on the same stack, taking turns.</summary>
internal static class LeaseCalls
{
    private const int WarmUpRounds = 20;
    private const int Rounds = 100;
    private const int CallsPerRound = 50;

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "0",
          "devices": {
            "board": {
              "simulated": { "bars": { "2": "1MiB" } },
              "windows": { "left": { "bar": 2, "offset": 0, "length": "64KiB" } }
            }
          },
          "grants": [{ "uid": 0, "device": "board", "windows": ["left"], "access": "read-write" }]
        }
        """;

    internal static async Task RunAsync()
    {
        await using BrokerProcess broker = await BrokerProcess.StartAsync(Policy);
        await using BarBrokerClient client = await BarBrokerClient.ConnectAsync(broker.ClientSocket, CancellationToken.None);
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(broker.ClientSocket, CancellationToken.None);

        Samples empty = new();
        Samples lease = new();
        for (int round = -WarmUpRounds; round < Rounds; round++)
        {
            (Samples emptyNow, Samples leaseNow) = round < 0 ? (new Samples(), new Samples()) : (empty, lease);
            for (int call = 0; call < CallsPerRound; call++)
            {
                await emptyNow.MeasureAsync(() => CallEmptyAsync(channel));
            }

            for (int call = 0; call < CallsPerRound; call++)
            {
                await leaseNow.MeasureAsync(() => LeaseOnceAsync(client));
            }
        }

        empty.Print("empty_unary");
        lease.Print("acquire_map_release");
    }

    private static Task<HealthCheckResponse> CallEmptyAsync(UnixGrpcChannel channel)
    {
        return channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Check", new HealthCheckRequest(), default);
    }

    private static async Task LeaseOnceAsync(BarBrokerClient client)
    {
        BarLease lease = await client.AcquireAsync("board", "left", LeaseAccess.ReadWrite, CancellationToken.None);
        lease.Map().Dispose();
        await lease.ReleaseAsync(CancellationToken.None);
    }
}
