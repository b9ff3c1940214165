using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Client.Connection;

/// <summary>The broker's calls on one connection, which is over for good once it is over.</summary>
internal interface IBrokerConnection : IAsyncDisposable
{
    /// <summary>Is cancelled once the connection is over, whoever ended it.</summary>
    CancellationToken Closed { get; }

    /// <exception cref="BarBroker.Grpc.RpcException">The call failed.</exception>
    Task<ListDevicesResponse> ListDevicesAsync(CancellationToken cancellationToken);

    /// <summary>To be called before <see cref="AcquireAsync"/>; the result is disposed once the reply is dealt with.</summary>
    IDisposable BeginAcquire();

    /// <summary>There is no giving up: the lease may exist already.</summary>
    /// <exception cref="BarBroker.Grpc.RpcException">The call failed.</exception>
    Task<AcquireResponse> AcquireAsync(AcquireRequest request);

    /// <summary>The descriptor that a reply names.</summary>
    /// <exception cref="DescriptorLostException">It did not get into this process.</exception>
    /// <exception cref="BarBroker.Grpc.RpcException">The connection ended before it came.</exception>
    ValueTask<OwnedDescriptor> ClaimAsync(InBandDescriptor descriptor);

    /// <exception cref="BarBroker.Grpc.RpcException">The call failed.</exception>
    Task<RenewResponse> RenewAsync(RenewRequest request);

    /// <exception cref="BarBroker.Grpc.RpcException">The call failed.</exception>
    Task ReleaseAsync(ulong leaseId);

    /// <summary>Goes on until the broker or the connection ends it, or the caller the enumeration.</summary>
    /// <exception cref="BarBroker.Grpc.RpcException">The call failed.</exception>
    IAsyncEnumerable<WatchEvent> WatchAsync();
}
