using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Client.Connection;

/// <summary>The broker's calls, as gRPC on a Unix socket.</summary>
internal sealed class GrpcBrokerConnection(UnixGrpcChannel channel, TimeProvider time) : IBrokerConnection
{
    /// <summary>
    /// A release waits for the kernel, which takes milliseconds; a broker that needs longer than this has other troubles, and closing the
    /// connection ends the lease, too.
    /// </summary>
    private static readonly TimeSpan ReleaseTimeout = TimeSpan.FromSeconds(30);

    public CancellationToken Closed => channel.Closed;

    public static async Task<GrpcBrokerConnection> ConnectAsync(string socketPath, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(socketPath);
        try
        {
            return new GrpcBrokerConnection(await UnixGrpcChannel.ConnectAsync(socketPath, cancellationToken), TimeProvider.System);
        }
        catch (RpcException exception) when (IsCallersCancellation(exception, cancellationToken))
        {
            throw Cancelled(exception, cancellationToken);
        }
    }

    public async Task<ListDevicesResponse> ListDevicesAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await channel.UnaryAsync<ListDevicesRequest, ListDevicesResponse>(
                "/barbroker.v1.Broker/ListDevices", new ListDevicesRequest(), new CallOptions(CancellationToken: cancellationToken));
        }
        catch (RpcException exception) when (IsCallersCancellation(exception, cancellationToken))
        {
            throw Cancelled(exception, cancellationToken);
        }
    }

    public IDisposable BeginAcquire() => channel.Descriptors.BeginAcquire();

    public Task<AcquireResponse> AcquireAsync(AcquireRequest request) =>
        channel.UnaryAsync<AcquireRequest, AcquireResponse>("/barbroker.v1.Broker/Acquire", request, default);

    public ValueTask<OwnedDescriptor> ClaimAsync(InBandDescriptor descriptor) =>
        channel.Descriptors.ClaimAsync(descriptor.FdSerial, descriptor.Inode, CancellationToken.None);

    public Task<RenewResponse> RenewAsync(RenewRequest request) =>
        channel.UnaryAsync<RenewRequest, RenewResponse>("/barbroker.v1.Broker/Renew", request, default);

    public Task ReleaseAsync(ulong leaseId) =>
        channel.UnaryAsync<ReleaseRequest, ReleaseResponse>(
            "/barbroker.v1.Broker/Release", new ReleaseRequest { LeaseId = leaseId }, new CallOptions(Deadline: time.GetUtcNow() + ReleaseTimeout));

    public IAsyncEnumerable<WatchEvent> WatchAsync() =>
        channel.ServerStreamingAsync<WatchRequest, WatchEvent>("/barbroker.v1.Broker/Watch", new WatchRequest(), default);

    public ValueTask DisposeAsync() => channel.DisposeAsync();

    private static bool IsCallersCancellation(RpcException exception, CancellationToken cancellationToken) =>
        exception.StatusCode == StatusCode.Cancelled && cancellationToken.IsCancellationRequested;

    /// <summary>What a .NET caller expects of its own token.</summary>
    private static OperationCanceledException Cancelled(RpcException exception, CancellationToken cancellationToken) =>
        new(exception.Status.Detail, exception, cancellationToken);
}
