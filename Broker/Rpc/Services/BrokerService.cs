using BarBroker.Devices;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Transport;
using BarBroker.Unix;
using BarBroker.V1;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc.Services;

/// <summary>barbroker.v1.Broker: what the processes that use a device call.</summary>
internal sealed class BrokerService(ServedDevices devices, LeaseTable leases, WarningThrottle throttle, ILogger<BrokerService> logger) : IGrpcService
{
    /// <inheritdoc/>
    public ServiceDescriptor Descriptor { get; } = BrokerReflection.Descriptor.Services.Single();

    /// <inheritdoc/>
    public void Bind(IServiceBinder binder)
    {
        binder.Unary<ListDevicesRequest, ListDevicesResponse>("ListDevices", ListDevices);
        binder.Unary<AcquireRequest, AcquireResponse>("Acquire", AcquireAsync);
        binder.Unary<RenewRequest, RenewResponse>("Renew", Renew);
        binder.Unary<ReleaseRequest, ReleaseResponse>("Release", ReleaseAsync);
        binder.ServerStreaming<WatchRequest, WatchEvent>("Watch", WatchAsync);
    }

    private Task<ListDevicesResponse> ListDevices(ListDevicesRequest request, ServerCallContext context)
    {
        ListDevicesResponse response = new();
        foreach (DeviceDefinition definition in devices.Policy.Devices)
        {
            PeerView view = BrokerPolicy.ViewOf(context.Connection.Credentials, definition);
            if (!view.IsEmpty)
            {
                response.Devices.Add(view.ToMessage(devices[definition.Name]));
            }
        }

        return Task.FromResult(response);
    }

    private async Task<AcquireResponse> AcquireAsync(AcquireRequest request, ServerCallContext context)
    {
        LeaseTarget target = RequestReader.ReadTarget(request);
        LeaseAccess access = RequestReader.ReadAccess(request.Access);
        bool byTicket = RequestReader.ReadTicketDelivery(request.Delivery);
        RequestReader.CheckP2P(request.P2P, access, target);
        TimeSpan? time = RequestReader.ReadLeaseTime(request.LeaseTime);
        LeaseRequest decided = Decide(target, access, request.P2P, context);
        decided = decided with { Terms = LeaseTerms.Of(time, decided.Terms.MaxTime, decided.Terms.MaxRenewals) };
        try
        {
            if (byTicket)
            {
                return await TicketDelivery.AcquireAsync(leases, context.Connection, decided, context.CancellationToken);
            }

            AcquiredLease acquired = await leases.AcquireAsync(context.Connection, decided, context.CancellationToken);
            return new AcquireResponse
            {
                Lease = acquired.Lease.ToMessage(),
                InBand = new InBandDescriptor { FdSerial = acquired.DescriptorSerial, Inode = acquired.Inode },
            };
        }
        catch (LeaseRefusedException refused)
        {
            throw Errors.From(refused);
        }
        catch (UnixException)
        {
            // The table has logged it.
            throw Errors.ExportFailed(decided.Device.Name);
        }
    }

    private LeaseRequest Decide(LeaseTarget target, LeaseAccess access, bool p2p, ServerCallContext context)
    {
        PeerCredentials peer = context.Connection.Credentials;
        Decision decision = devices.Policy.Decide(peer, target, access, p2p);
        if (decision is not Granted granted)
        {
            DenialReason reason = ((Denied)decision).Reason;
            if (throttle.Passes(ServiceLog.DeniedId, peer.Uid, out long more))
            {
                ServiceLog.Denied(logger, peer.Uid, peer.Gid, peer.Unit ?? "none", peer.Pid, context.Connection.Id, access, RequestReader.Describe(target), reason, more);
            }

            ThrowIfImpossible(target, peer);
            throw Errors.From(reason, target, peer);
        }

        if (p2p && granted.Ranges.Count > 1)
        {
            throw Errors.P2PRanges($"Window '{granted.Window}' of device '{granted.Device.Name}' has {granted.Ranges.Count} ranges", RequestReader.WindowField);
        }

        IBarDevice device = devices[granted.Device.Name];
        if (granted.Ranges.Count > device.MaxRanges)
        {
            throw Errors.RangeCount(
                $"The request has {granted.Ranges.Count} ranges; device '{device.Name}' has leases of at most {device.MaxRanges} here.",
                granted.Window is null ? RequestReader.RangesField : RequestReader.WindowField);
        }

        return FindProblem(device, granted.Ranges) is { } problem
            ? throw Errors.From(problem, device.Name)
            : new LeaseRequest(device, granted.Window, granted.Ranges, granted.Grant.ToOptions(access, p2p), granted.Grant.Exclusive, QuotaOf(granted.Grant))
            {
                Terms = new LeaseTerms(null, granted.Grant.Limits.MaxLeaseTime, granted.Grant.Limits.MaxRenewals),
            };
    }

    private static LeaseQuota? QuotaOf(Grant grant)
        => grant.Limits is { MaxLeases: null, MaxBytes: null } ? null : new LeaseQuota(grant.KeyPath, grant.Limits.MaxLeases, grant.Limits.MaxBytes);

    /// <summary>Null also of a device whose geometry is not known yet: the table tells why there are no leases of it.</summary>
    private static GeometryProblem? FindProblem(IBarDevice device, RangeList ranges)
        => device is UnopenedDevice ? null : ranges.Items.Select(range => DeviceGeometry.Check(device.Bars, range)).FirstOrDefault(problem => problem is not null);

    /// <summary>A peer that chooses ranges of a device itself may know the device's shape: what can't be at all is told as such.</summary>
    private void ThrowIfImpossible(LeaseTarget target, PeerCredentials peer)
    {
        if (target is RangeTarget wanted
            && devices.Policy.FindDevice(target.Device) is { } definition
            && !BrokerPolicy.ViewOf(peer, definition).Areas.IsEmpty
            && FindProblem(devices[definition.Name], wanted.Ranges) is { } problem)
        {
            throw Errors.From(problem, definition.Name);
        }
    }

    private Task<RenewResponse> Renew(RenewRequest request, ServerCallContext context)
    {
        TimeSpan? time = RequestReader.ReadLeaseTime(request.LeaseTime);
        try
        {
            LeaseInfo lease = leases.Renew(context.Connection, new LeaseId(request.LeaseId), time) ?? throw Errors.LeaseUnknown(request.LeaseId, "This connection");
            return Task.FromResult(new RenewResponse { Lease = lease.ToMessage() });
        }
        catch (LeaseRefusedException refused)
        {
            throw Errors.From(refused);
        }
    }

    private async Task<ReleaseResponse> ReleaseAsync(ReleaseRequest request, ServerCallContext context)
    {
        EndResult result = await leases.ReleaseAsync(context.Connection, new LeaseId(request.LeaseId))
            ?? throw Errors.LeaseUnknown(request.LeaseId, "This connection");
        return result.Unconfirmed.IsEmpty ? new ReleaseResponse() : throw Errors.RevokeUnconfirmed(result.Unconfirmed);
    }

    private async Task WatchAsync(WatchRequest request, IServerStreamWriter<WatchEvent> responses, ServerCallContext context)
    {
        using LeaseFeed feed = Watch(context);
        await context.WriteResponseHeadersAsync([]);
        ulong sequence = 0;
        await foreach (LeaseEvent happened in feed.ReadAllAsync(context.CancellationToken))
        {
            await responses.WriteAsync(happened.ToMessage(++sequence), context.CancellationToken);
        }

        // Connections that end do not hear this; those hear it that were handed on by a process that ended.
        throw leases.IsShuttingDown
            ? RpcErrors.Create(Grpc.StatusCode.Unavailable, "The broker is shutting down: connect again once it is back.", Reasons.ShuttingDown)
            : RpcErrors.Create(Grpc.StatusCode.Cancelled, "The process that made the connection has ended, and its leases with it.", Reasons.ConnectionEnded);
    }

    private LeaseFeed Watch(ServerCallContext context)
    {
        try
        {
            return leases.Watch(context.Connection);
        }
        catch (LeaseRefusedException refused)
        {
            throw Errors.From(refused);
        }
    }
}
