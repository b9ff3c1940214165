using System.Collections.Immutable;
using System.Globalization;
using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Transport.Counting;
using BarBroker.Unix;
using BarBroker.V1;
using Lease = BarBroker.Leases.Lease;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Rpc.Services;

/// <summary>barbroker.v1.Admin: what those who run the broker call.</summary>
internal sealed partial class AdminService(ServedDevices devices, LeaseTable leases, WireCounters counters, ILogger<AdminService> logger) : IGrpcService
{
    /// <summary>Stock clients take answers of 4 MiB, and a lease of 64 ranges is one of 750 bytes.</summary>
    private const int LargestPage = 1024 * 1024;

    /// <summary>Of a repeated message: its tag and its length.</summary>
    private const int PerEntry = 4;

    /// <inheritdoc/>
    public ServiceDescriptor Descriptor { get; } = AdminReflection.Descriptor.Services.Single();

    /// <inheritdoc/>
    public void Bind(IServiceBinder binder)
    {
        BindDevices(binder);
        binder.Unary<ListLeasesRequest, ListLeasesResponse>("ListLeases", ListLeases);
        binder.Unary<RevokeRequest, RevokeResponse>("Revoke", RevokeAsync);
        binder.Unary<GetCountersRequest, GetCountersResponse>("GetCounters", GetCounters);
    }

    private Task<GetCountersResponse> GetCounters(GetCountersRequest request, ServerCallContext context) => Task.FromResult(new GetCountersResponse
    {
        Counters =
        {
            counters.Read().Select(reading => new Counter
            {
                Name = reading.Name, Unit = reading.Unit, Tags = { { reading.Tag, reading.TagValue } }, Value = reading.Value,
            }),
        },
    });

    private Task<ListLeasesResponse> ListLeases(ListLeasesRequest request, ServerCallContext context)
    {
        if (request.Device.Length > 0)
        {
            ThrowIfUnknown(request.Device);
        }

        (ulong last, int size) = RequestReader.ReadPage(request.PageToken, request.PageSize);
        ImmutableArray<LeaseInfo> rest = leases.List(lease => lease.Id.Value > last && (request.Device.Length == 0 || lease.Request.Device.Name == request.Device));
        ListLeasesResponse response = new();
        int bytes = 0;
        foreach (LeaseInfo lease in rest)
        {
            HeldLease held = lease.ToHeldLease();
            bytes += held.CalculateSize() + PerEntry;
            if (response.Leases.Count == size || (bytes > LargestPage && response.Leases.Count > 0))
            {
                response.NextPageToken = response.Leases[^1].Lease.LeaseId.ToString(CultureInfo.InvariantCulture);
                break;
            }

            response.Leases.Add(held);
        }

        return Task.FromResult(response);
    }

    private async Task<RevokeResponse> RevokeAsync(RevokeRequest request, ServerCallContext context)
    {
        TimeSpan grace = RequestReader.ReadGrace(request.Grace);
        EndResult result = await EndAsync(request, grace);
        PeerCredentials peer = context.Connection.Credentials;
        ServiceLog.RevokeCalled(logger, Describe(request), peer.Uid, peer.Pid, result.Ended.Length, result.Unconfirmed.Length);
        return result.Unconfirmed.IsEmpty
            ? new RevokeResponse { LeaseIds = { result.Ended.Select(id => id.Value) } }
            : throw Errors.RevokeUnconfirmed(result.Unconfirmed);
    }

    private async Task<EndResult> EndAsync(RevokeRequest request, TimeSpan grace)
    {
        if (request.TargetCase == RevokeRequest.TargetOneofCase.LeaseId)
        {
            LeaseId id = new(request.LeaseId);
            return await (grace > TimeSpan.Zero ? leases.RevokeAsync(id, grace) : leases.RevokeAsync(id)) ?? throw Errors.LeaseUnknown(request.LeaseId, "The broker");
        }

        Func<Lease, bool> target = ReadTarget(request);
        return await (grace > TimeSpan.Zero ? leases.RevokeAsync(target, grace) : leases.RevokeAsync(target));
    }

    /// <summary>What was found to be revoked, in words.</summary>
    private static string Describe(RevokeRequest request) => request.TargetCase switch
    {
        RevokeRequest.TargetOneofCase.LeaseId => $"lease {request.LeaseId}",
        RevokeRequest.TargetOneofCase.Uid => $"all of uid {request.Uid}",
        RevokeRequest.TargetOneofCase.Pid => $"all of pid {request.Pid}",
        RevokeRequest.TargetOneofCase.Device => $"all of device '{request.Device}'",
        RevokeRequest.TargetOneofCase.Window => $"all of window '{request.Window.Window}' of device '{request.Window.Device}'",
        _ => "all leases",
    };

    private Func<Lease, bool> ReadTarget(RevokeRequest request)
    {
        switch (request.TargetCase)
        {
            case RevokeRequest.TargetOneofCase.Uid:
                return lease => lease.Holder.Connection.Credentials.Uid == request.Uid;
            case RevokeRequest.TargetOneofCase.Pid:
                return lease => lease.Holder.Connection.Credentials.Pid == request.Pid;
            case RevokeRequest.TargetOneofCase.Device:
                ThrowIfUnknown(request.Device);
                return lease => lease.Request.Device.Name == request.Device;
            case RevokeRequest.TargetOneofCase.Window:
                return ReadWindow(request.Window);
            case RevokeRequest.TargetOneofCase.All when request.All:
                return _ => true;
            default:
                throw RpcErrors.CreateBadRequest(
                    "The request names no lease to revoke. Set lease_id, uid, pid, window or device, or set all to true.",
                    Reasons.TargetMissing,
                    request.TargetCase == RevokeRequest.TargetOneofCase.All ? "all" : "target");
        }
    }

    private Func<Lease, bool> ReadWindow(WindowName name)
    {
        DeviceDefinition definition = ThrowIfUnknown(name.Device);
        Policy.Window window = definition.FindWindow(name.Window) ?? throw Errors.WindowUnknown(name.Device, name.Window);
        return lease => lease.Request.Device.Name == definition.Name && lease.Request.Window == window.Name;
    }

    private DeviceDefinition ThrowIfUnknown(string device) => devices.Policy.FindDevice(device) ?? throw Errors.DeviceUnknown(device);
}
