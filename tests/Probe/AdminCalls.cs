using BarBroker.Client.Grpc;
using BarBroker.Grpc.Health.V1;
using BarBroker.V1;
using Google.Protobuf;

namespace BarBroker.Probe;

/// <summary>An admin's calls, and one of a client that fetches its descriptor with a ticket, from and to JSON. For many calls in a row where starting a foreign client for each takes too long.</summary>
internal static class AdminCalls
{
    internal static async Task<string> CallAsync(string socket, string method, string request)
    {
        await using UnixGrpcChannel channel = await UnixGrpcChannel.ConnectAsync(socket, CancellationToken.None);
        return method switch
        {
            "barbroker.v1.Broker/Acquire" => await UnaryAsync<AcquireRequest, AcquireResponse>(channel, method, request),
            "barbroker.v1.Admin/ListDevices" => await UnaryAsync<AdminListDevicesRequest, AdminListDevicesResponse>(channel, method, request),
            "barbroker.v1.Admin/GetCounters" => await UnaryAsync<GetCountersRequest, GetCountersResponse>(channel, method, request),
            "barbroker.v1.Admin/ListLeases" => await UnaryAsync<ListLeasesRequest, ListLeasesResponse>(channel, method, request),
            "barbroker.v1.Admin/Revoke" => await UnaryAsync<RevokeRequest, RevokeResponse>(channel, method, request),
            "barbroker.v1.Admin/SuspendDevice" => await UnaryAsync<SuspendDeviceRequest, SuspendDeviceResponse>(channel, method, request),
            "barbroker.v1.Admin/ResumeDevice" => await UnaryAsync<ResumeDeviceRequest, ResumeDeviceResponse>(channel, method, request),
            "barbroker.v1.Admin/ResetDevice" => await UnaryAsync<ResetDeviceRequest, ResetDeviceResponse>(channel, method, request),
            "grpc.health.v1.Health/Check" => await UnaryAsync<HealthCheckRequest, HealthCheckResponse>(channel, method, request),
            _ => throw new NotSupportedException($"No such method here: {method}."),
        };
    }

    private static async Task<string> UnaryAsync<TRequest, TResponse>(UnixGrpcChannel channel, string method, string request)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        TResponse response = await channel.UnaryAsync<TRequest, TResponse>($"/{method}", JsonParser.Default.Parse<TRequest>(request), default);
        return JsonFormatter.Default.Format(response);
    }
}
