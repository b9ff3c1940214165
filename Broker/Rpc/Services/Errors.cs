using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;

namespace BarBroker.Rpc.Services;

/// <summary>What goes wrong in the domain, as the statuses that the .proto files document.</summary>
internal static class Errors
{
    public static RpcException From(LeaseRefusedException refused)
    {
        (StatusCode code, string reason) = refused.Refusal switch
        {
            LeaseRefusal.RangeLeased => (StatusCode.FailedPrecondition, Reasons.RangeLeased),
            LeaseRefusal.MemoryTypeUnavailable => (StatusCode.FailedPrecondition, Reasons.MemoryTypeUnavailable),
            LeaseRefusal.TooManyLeases => (StatusCode.ResourceExhausted, Reasons.TooManyLeases),
            LeaseRefusal.TooManyBytes => (StatusCode.ResourceExhausted, Reasons.TooManyBytes),
            LeaseRefusal.TooManyDescriptors => (StatusCode.ResourceExhausted, Reasons.TooManyDescriptors),
            LeaseRefusal.KernelExhausted => (StatusCode.ResourceExhausted, Reasons.KernelExhausted),
            LeaseRefusal.DeviceSuspended => (StatusCode.Unavailable, Reasons.DeviceSuspended),
            LeaseRefusal.DeviceGone => (StatusCode.Unavailable, Reasons.DeviceGone),
            LeaseRefusal.DeviceStuck => (StatusCode.Unavailable, Reasons.DeviceStuck),
            LeaseRefusal.ShuttingDown => (StatusCode.Unavailable, Reasons.ShuttingDown),
            LeaseRefusal.ConnectionEnded => (StatusCode.Cancelled, Reasons.ConnectionEnded),
            LeaseRefusal.Revoked => (StatusCode.Aborted, Reasons.LeaseRevoked),
            LeaseRefusal.Ending => (StatusCode.FailedPrecondition, Reasons.LeaseEnding),
            LeaseRefusal.TooManyRenewals => (StatusCode.ResourceExhausted, Reasons.TooManyRenewals),
            LeaseRefusal.WatchExists => (StatusCode.FailedPrecondition, Reasons.WatchExists),
            _ => throw new InvalidOperationException($"{refused.Refusal} has no status."),
        };
        return RpcErrors.Create(code, refused.Message, reason);
    }

    /// <summary>Of a denial, the peer learns no more than it takes to correct a mistake about what is its own.</summary>
    public static RpcException From(DenialReason reason, LeaseTarget target, PeerCredentials peer) => reason switch
    {
        DenialReason.DeviceUnknown => DeviceUnknown(target.Device),
        DenialReason.WindowUnknown => WindowUnknown(target.Device, ((WindowTarget)target).Window),
        DenialReason.AccessNotGranted => RpcErrors.Create(
            StatusCode.PermissionDenied,
            $"{Describe(target)} is granted to uid {peer.Uid} for reading only. Ask for ACCESS_READ_ONLY.",
            Reasons.AccessNotGranted,
            ("device", target.Device)),
        DenialReason.P2PNotGranted => RpcErrors.Create(
            StatusCode.PermissionDenied,
            $"{Describe(target)} is granted to uid {peer.Uid}, but not for peer-to-peer leases. Leave p2p unset.",
            Reasons.P2PNotGranted,
            ("device", target.Device)),
        _ => RpcErrors.Create(
            StatusCode.PermissionDenied,
            $"{Describe(target)} is not granted to uid {peer.Uid}, its groups or its unit. ListDevices tells what is.",
            Reasons.NotGranted,
            ("device", target.Device)),
    };

    public static RpcException From(GeometryProblem problem, string device)
    {
        (StatusCode code, string reason) = problem.Kind switch
        {
            GeometryProblemKind.BarUnknown => (StatusCode.NotFound, Reasons.BarUnknown),
            GeometryProblemKind.BeyondBar => (StatusCode.OutOfRange, Reasons.RangeBeyondBar),
            _ => (StatusCode.PermissionDenied, Reasons.RangeOnMsix),
        };
        return RpcErrors.Create(code, $"Device '{device}': {problem.Message}", reason, ("device", device));
    }

    public static RpcException From(TicketLimitException refused) => RpcErrors.Create(StatusCode.ResourceExhausted, refused.Message, Reasons.TooManyTickets);

    public static RpcException DeliveryUnsupported(string message) => RpcErrors.Create(StatusCode.Unimplemented, message, Reasons.DeliveryUnsupported);

    public static RpcException RangeCount(string message, string field) => RpcErrors.CreateBadRequest(message, Reasons.RangeCount, field);

    public static RpcException P2PRanges(string found, string field) => RpcErrors.CreateBadRequest(
        $"{found}; a peer-to-peer lease has one. Take a lease for each, or set p2p to false.", Reasons.P2PRanges, field, "p2p");

    public static RpcException DeviceUnknown(string device) => RpcErrors.Create(
        StatusCode.NotFound, $"There is no device {RequestReader.Show(device)}. ListDevices names what there is.", Reasons.DeviceUnknown);

    public static RpcException WindowUnknown(string device, string window) => RpcErrors.Create(
        StatusCode.NotFound, $"Device '{device}' has no window {RequestReader.Show(window)}. ListDevices names what there is.", Reasons.WindowUnknown);

    public static RpcException LeaseUnknown(ulong id, string whose) => RpcErrors.Create(
        StatusCode.NotFound, $"{whose} has no live lease {id}: it has ended, or never was.", Reasons.LeaseUnknown, ("lease_id", $"{id}"));

    public static RpcException RevokeUnconfirmed(IReadOnlyCollection<LeaseId> ids)
    {
        // Clients cap what a status may be: 8 KiB is usual.
        const int MostListed = 64;
        string list = string.Join(", ", ids.Take(MostListed)) + (ids.Count > MostListed ? $" and {ids.Count - MostListed} more" : "");
        return RpcErrors.Create(
            StatusCode.Internal,
            $"The kernel could not confirm the end of {(ids.Count == 1 ? "lease" : "leases")} {list}: processes may still reach the device through them. "
            + "Their ranges are quarantined. Repeat the call; the broker's log has the cause.",
            Reasons.RevokeUnconfirmed,
            ("lease_ids", list));
    }

    /// <summary>The kernel refused for a reason that only the log can explain.</summary>
    public static RpcException ExportFailed(string device) => RpcErrors.Create(
        StatusCode.Internal, $"The kernel refused to export memory of device '{device}'. The broker's log has the cause.", Reasons.ExportFailed);

    private static string Describe(LeaseTarget target) => target switch
    {
        WindowTarget window => $"Window {RequestReader.Show(window.Window)} of device '{window.Device}'",
        _ => target.ToString(),
    };
}
