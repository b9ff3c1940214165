using BarBroker.Client;
using BarBroker.Client.Grpc;
using BarBroker.EndToEnd.Harness;
using BarBroker.Grpc.Health.V1;
using BarBroker.V1;

namespace BarBroker.Benchmarks;

/// <summary>On the broker itself, with a simulated device: an empty call, an Acquire, and a whole lease (acquire, map, release), taking turns.</summary>
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

        Samples empty = new(), acquire = new(), lease = new();
        for (int round = -WarmUpRounds; round < Rounds; round++)
        {
            if (round == 0)
            {
                (empty, acquire, lease) = (new Samples(), new Samples(), new Samples());
            }

            for (int call = 0; call < CallsPerRound; call++)
            {
                await empty.MeasureAsync(() => CallEmptyAsync(channel));
            }

            for (int call = 0; call < CallsPerRound; call++)
            {
                await AcquireOnceAsync(channel, acquire);
            }

            for (int call = 0; call < CallsPerRound; call++)
            {
                await lease.MeasureAsync(() => LeaseOnceAsync(client));
            }
        }

        empty.Print("health_check");
        acquire.Print("acquire");
        lease.Print("acquire_map_release");
        acquire.PrintRatio("acquire_to_health_check", empty);
    }

    private static Task<HealthCheckResponse> CallEmptyAsync(UnixGrpcChannel channel)
    {
        return channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>("/grpc.health.v1.Health/Check", new HealthCheckRequest(), default);
    }

    /// <summary>The Acquire alone, until its descriptor is here. The release is not measured.</summary>
    private static async Task AcquireOnceAsync(UnixGrpcChannel channel, Samples samples)
    {
        AcquireRequest request = new() { Device = "board", Window = "left", Access = Access.ReadWrite, Delivery = Delivery.InBand };
        AcquireResponse? reply = null;
        await samples.MeasureAsync(async () =>
        {
            using DescriptorInbox.AcquireScope scope = channel.Descriptors.BeginAcquire();
            reply = await channel.UnaryAsync<AcquireRequest, AcquireResponse>("/barbroker.v1.Broker/Acquire", request, default);
            (await channel.Descriptors.ClaimAsync(reply.InBand.FdSerial, reply.InBand.Inode, CancellationToken.None)).Dispose();
        });
        await channel.UnaryAsync<ReleaseRequest, ReleaseResponse>(
            "/barbroker.v1.Broker/Release", new ReleaseRequest { LeaseId = reply!.Lease.LeaseId }, default);
    }

    private static async Task LeaseOnceAsync(BarBrokerClient client)
    {
        BarLease lease = await client.AcquireAsync("board", "left", LeaseAccess.ReadWrite, CancellationToken.None);
        lease.Map().Dispose();
        await lease.ReleaseAsync(CancellationToken.None);
    }
}
