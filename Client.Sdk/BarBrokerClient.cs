using System.Collections.Immutable;
using BarBroker.Client.Connection;
using BarBroker.Client.Leases;
using BarBroker.Grpc;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Client;

/// <summary>
/// A connection to a BAR broker. Leases belong to it: it never reconnects by itself, and when it ends, they end. All members may
/// be used by several threads at once.
/// </summary>
public sealed class BarBrokerClient : IAsyncDisposable
{
    /// <summary>Where the broker listens unless it is configured otherwise.</summary>
    public const string DefaultSocketPath = "/run/bar-broker/broker.sock";

    private readonly IBrokerConnection _connection;
    private readonly LeaseBook _book = new();
    private readonly LeaseWatch _watch;

    internal BarBrokerClient(IBrokerConnection connection, TimeProvider time)
    {
        _connection = connection;
        _watch = new LeaseWatch(connection, _book, time);
    }

    /// <summary>Is cancelled once the connection is over, whoever ended it. Every lease ends with it.</summary>
    public CancellationToken Closed => _connection.Closed;

    /// <summary>Connects.</summary>
    /// <param name="socketPath">The broker's socket.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ArgumentException"><paramref name="socketPath"/> is empty.</exception>
    /// <exception cref="RpcException">
    /// UNAVAILABLE: there is no such socket, nobody listens, permission is missing, or the path is longer than a socket's address can
    /// be (107 bytes); the message says which.
    /// </exception>
    public static async Task<BarBrokerClient> ConnectAsync(string socketPath = DefaultSocketPath, CancellationToken cancellationToken = default) =>
        new(await GrpcBrokerConnection.ConnectAsync(socketPath, cancellationToken), TimeProvider.System);

    /// <summary>The devices of which the broker's policy grants something to this process.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="RpcException">The call failed; UNAVAILABLE when the connection is over.</exception>
    public async Task<ImmutableArray<GrantedDevice>> ListDevicesAsync(CancellationToken cancellationToken = default)
    {
        ListDevicesResponse response = await _connection.ListDevicesAsync(cancellationToken);
        try
        {
            return [.. response.Devices.Select(WireTypes.ParseDevice)];
        }
        catch (FormatException exception)
        {
            throw BadAnswer(exception);
        }
    }

    /// <summary>Leases a window that the policy names.</summary>
    /// <param name="device">The device's name in the policy.</param>
    /// <param name="window">The window's name in the policy.</param>
    /// <param name="access">What is to be done with the memory.</param>
    /// <param name="cancellationToken">Stops waiting. A lease that the broker makes nevertheless is released.</param>
    /// <exception cref="RpcException">
    /// The broker refused; <c>GetReason()</c> tells a program why: NOT_FOUND for an unknown device or window, PERMISSION_DENIED,
    /// FAILED_PRECONDITION with RANGE_LEASED when somebody else holds it, or MEMORY_TYPE_UNAVAILABLE, RESOURCE_EXHAUSTED, UNAVAILABLE while the device is
    /// suspended or gone, or when the connection is over.
    /// </exception>
    /// <exception cref="DescriptorLostException">This process has no free descriptor (RLIMIT_NOFILE); the lease was released.</exception>
    public Task<BarLease> AcquireAsync(string device, string window, LeaseAccess access, CancellationToken cancellationToken = default) =>
        AcquireAsync(device, window, new AcquireOptions { Access = access }, cancellationToken);

    /// <summary>Leases a window that the policy names.</summary>
    /// <param name="device">The device's name in the policy.</param>
    /// <param name="window">The window's name in the policy.</param>
    /// <param name="options">What the lease is to be like.</param>
    /// <param name="cancellationToken">Stops waiting. A lease that the broker makes nevertheless is released.</param>
    /// <exception cref="RpcException">
    /// The broker refused, as of the other overload; of a peer-to-peer lease besides PERMISSION_DENIED with P2P_NOT_GRANTED, and
    /// INVALID_ARGUMENT with P2P_READ_ONLY or P2P_RANGES.
    /// </exception>
    /// <exception cref="DescriptorLostException">This process has no free descriptor (RLIMIT_NOFILE); the lease was released.</exception>
    public Task<BarLease> AcquireAsync(string device, string window, AcquireOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(window);
        return AcquireAsync(new AcquireRequest { Window = window }, device, options, cancellationToken);
    }

    /// <summary>Leases a range inside an area that the policy grants.</summary>
    /// <param name="device">The device's name in the policy.</param>
    /// <param name="bar">Base address register, 0 to 5.</param>
    /// <param name="offset">Bytes from the start of the BAR; a multiple of 4096.</param>
    /// <param name="length">Bytes; a multiple of 4096, not 0.</param>
    /// <param name="access">What is to be done with the memory.</param>
    /// <param name="cancellationToken">Stops waiting. A lease that the broker makes nevertheless is released.</param>
    /// <exception cref="RpcException">The broker refused, as for a window; INVALID_ARGUMENT or OUT_OF_RANGE for a range that can't be.</exception>
    /// <exception cref="DescriptorLostException">This process has no free descriptor (RLIMIT_NOFILE); the lease was released.</exception>
    public Task<BarLease> AcquireAsync(string device, int bar, ulong offset, ulong length, LeaseAccess access, CancellationToken cancellationToken = default)
    {
        return AcquireAsync(device, bar, [new BarRange(offset, length)], new AcquireOptions { Access = access }, cancellationToken);
    }

    /// <summary>Leases ranges of a BAR, each inside an area that one grant of the policy allows. They are leased all or none.</summary>
    /// <param name="device">The device's name in the policy.</param>
    /// <param name="bar">Base address register, 0 to 5.</param>
    /// <param name="ranges">1 to 64, not overlapping each other. The lease presents them in this order.</param>
    /// <param name="options">What the lease is to be like.</param>
    /// <param name="cancellationToken">Stops waiting. A lease that the broker makes nevertheless is released.</param>
    /// <exception cref="RpcException">The broker refused, as for a window; INVALID_ARGUMENT or OUT_OF_RANGE for ranges that can't be.</exception>
    /// <exception cref="DescriptorLostException">This process has no free descriptor (RLIMIT_NOFILE); the lease was released.</exception>
    public Task<BarLease> AcquireAsync(
        string device, int bar, ImmutableArray<BarRange> ranges, AcquireOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bar);
        if (ranges.IsDefaultOrEmpty)
        {
            throw new ArgumentException("A lease has at least one range.", nameof(ranges));
        }

        BarRanges wanted = new() { Bar = (uint)bar, Ranges = { ranges.Select(range => new V1.Range { Offset = range.Offset, Length = range.Length }) } };
        return AcquireAsync(new AcquireRequest { Ranges = wanted }, device, options, cancellationToken);
    }

    /// <summary>Releases all leases and closes the connection.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_book.GetLeases().Select(lease => lease.DisposeAsync().AsTask()));
        await _connection.DisposeAsync();
    }

    private static RpcException BadAnswer(FormatException exception) =>
        new(new Status(StatusCode.Internal, $"The broker's answer can't be right: {exception.Message}."), innerException: exception);

    private Task<BarLease> AcquireAsync(AcquireRequest request, string device, AcquireOptions options, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        ArgumentNullException.ThrowIfNull(options);
        request.Device = device;
        request.Access = WireTypes.ToWire(options.Access);
        request.P2P = options.P2P;
        request.LeaseTime = WireTypes.ToWire(options.LeaseTime);
        return AcquireAsync(request, cancellationToken);
    }

    private async Task<BarLease> AcquireAsync(AcquireRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();

        // Before the request: no lease without hearing of its end.
        await _watch.StartAsync().WaitAsync(cancellationToken);
        request.Delivery = Delivery.InBand;
        Task<BarLease> acquiring = AcquireToTheEndAsync(request);
        try
        {
            return await acquiring.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _ = ReleaseUnwantedAsync(acquiring);
            throw;
        }
    }

    /// <summary>Whatever the caller does, a request that was sent is seen through: the broker may have made the lease.</summary>
    private async Task<BarLease> AcquireToTheEndAsync(AcquireRequest request)
    {
        using LeaseBook.Acquisition acquisition = _book.BeginAcquisition();
        using IDisposable descriptors = _connection.BeginAcquire();
        AcquireResponse response = await _connection.AcquireAsync(request);
        try
        {
            LeaseInfo info = LeaseInfo.Parse(response.Lease ?? throw new FormatException("it has no lease"));
            OwnedDescriptor descriptor = await _connection.ClaimAsync(response.InBand ?? throw new FormatException("it has no descriptor"));
            BarLease lease = new(info, response.Lease.ExpireTime?.ToDateTimeOffset(), descriptor, ReleaseAtBrokerAsync, RenewAtBrokerAsync);
            acquisition.Add(lease);
            return lease;
        }
        catch (Exception exception)
        {
            if (response.Lease is { LeaseId: not 0 } unusable)
            {
                await TryReleaseAsync(unusable.LeaseId);
            }

            if (exception is FormatException format)
            {
                throw BadAnswer(format);
            }

            throw;
        }
    }

    private static async Task ReleaseUnwantedAsync(Task<BarLease> acquiring)
    {
        try
        {
            await using BarLease unwanted = await acquiring;
        }
        catch (Exception exception) when (exception is RpcException or DescriptorLostException)
        {
            // There is no lease, and nobody waits for the reason.
        }
    }

    private async Task TryReleaseAsync(ulong leaseId)
    {
        try
        {
            await _connection.ReleaseAsync(leaseId);
        }
        catch (RpcException)
        {
            // The lease is over, or ends with the connection.
        }
    }

    private async Task<Lease> RenewAtBrokerAsync(RenewRequest request)
    {
        RenewResponse response = await _connection.RenewAsync(request);
        return response.Lease ?? throw BadAnswer(new FormatException("it has no lease"));
    }

    private async Task<LeaseEndReason> ReleaseAtBrokerAsync(BarLease lease)
    {
        try
        {
            await _connection.ReleaseAsync(lease.Id);
            return LeaseEndReason.Released;
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.NotFound)
        {
            // It ended by itself meanwhile, and Watch's word of it is still on its way.
            return LeaseEndReason.Unknown;
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable)
        {
            return LeaseEndReason.ConnectionClosed;
        }
        finally
        {
            _book.Remove(lease.Id);
        }
    }
}
