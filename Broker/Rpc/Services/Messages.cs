using BarBroker.Devices;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Unix;
using Google.Protobuf.WellKnownTypes;
using V1 = BarBroker.V1;

namespace BarBroker.Rpc.Services;

/// <summary>The domain's types as the messages of barbroker.v1.</summary>
internal static class Messages
{
    public static V1.Lease ToMessage(this LeaseInfo lease) => new()
    {
        LeaseId = lease.Id.Value,
        Device = lease.Device,
        Window = lease.Window ?? "",
        Bar = (uint)lease.Ranges.Bar,
        Ranges = { lease.Ranges.ToMessages() },
        Access = lease.Access.ToMessage(),
        Exclusive = lease.Exclusive,
        MemoryType = lease.MemoryType.ToMessage(),
        P2P = lease.P2P,
        ExpireTime = lease.ExpireTime is { } time ? Timestamp.FromDateTimeOffset(time) : null,
        Ending = lease.Ending?.ToMessage() ?? V1.EndReason.Unspecified,
    };

    public static V1.HeldLease ToHeldLease(this LeaseInfo lease) => new()
    {
        Lease = lease.ToMessage(),
        Holder = new V1.Holder
        {
            Uid = lease.Peer.Uid,
            Gid = lease.Peer.Gid,
            Pid = lease.Peer.Pid,
            ConnectionId = lease.ConnectionId,
            Unit = lease.Peer.Unit ?? "",
            UserNamespace = lease.Peer.UserNamespace switch
            {
                UserNamespace.Own => V1.UserNamespace.Own,
                UserNamespace.Other => V1.UserNamespace.Other,
                _ => V1.UserNamespace.Unspecified,
            },
        },
        State = lease.State switch
        {
            LeaseState.Active => V1.LeaseState.Active,
            LeaseState.Noticed => V1.LeaseState.Noticed,
            LeaseState.Ending => V1.LeaseState.Ending,
            LeaseState.Quarantined => V1.LeaseState.Quarantined,

            // Being made: it holds its range and can't be called active yet.
            _ => V1.LeaseState.Unspecified,
        },
        AcquireTime = Timestamp.FromDateTimeOffset(lease.AcquireTime),
    };

    public static V1.Range ToMessage(this BarRange range) => new() { Offset = range.Offset, Length = range.Length };

    public static IEnumerable<V1.Range> ToMessages(this RangeList ranges) => ranges.Items.Select(ToMessage);

    public static V1.MemoryType ToMessage(this MemoryType? type) => type switch
    {
        MemoryType.Uncached => V1.MemoryType.Uncached,
        MemoryType.Cached => V1.MemoryType.Cached,
        MemoryType.WriteCombining => V1.MemoryType.WriteCombining,
        _ => V1.MemoryType.Unspecified,
    };

    public static V1.Access ToMessage(this LeaseAccess access) => access == LeaseAccess.ReadWrite ? V1.Access.ReadWrite : V1.Access.ReadOnly;

    public static V1.WatchEvent ToMessage(this LeaseEvent happened, ulong sequence)
    {
        V1.WatchEvent message = new() { Sequence = sequence };
        switch (happened)
        {
            case LeaseSnapshot snapshot:
                message.Snapshot = new V1.WatchSnapshot
                {
                    Leases = { snapshot.Leases.Select(ToMessage) },
                    Suspended = { snapshot.Suspended.Select(DeviceMessages.ToMessage) },
                };
                break;
            case LeaseEndingEvent ending:
                message.LeaseEnding = new V1.LeaseEnding
                {
                    LeaseId = ending.Id.Value,
                    Reason = ending.Reason.ToMessage(),
                    EndTime = Timestamp.FromDateTimeOffset(ending.Time),
                    Message = Describe(ending),
                };
                break;
            case LeaseEndedEvent ended:
                message.LeaseEnded = new V1.LeaseEnded { LeaseId = ended.Id.Value, Reason = ended.Reason.ToMessage(), Message = Describe(ended) };
                break;
            case DeviceSuspendedEvent suspended:
                message.DeviceSuspended = suspended.ToMessage();
                break;
            case DeviceResumedEvent resumed:
                message.DeviceResumed = new V1.DeviceResumed { Device = resumed.Device, Reset = resumed.WasReset };
                break;
        }

        return message;
    }

    public static V1.GrantedDevice ToMessage(this PeerView view, IBarDevice device) => new()
    {
        Device = device.Name,
        Windows =
        {
            view.Windows.Select(entry => new V1.GrantedWindow
            {
                Window = entry.Window.Name,
                Bar = (uint)entry.Window.Ranges.Bar,
                Ranges = { entry.Window.Ranges.ToMessages() },
                Access = entry.Grant.Access.ToMessage(),
                Exclusive = entry.Grant.Exclusive,
                MemoryType = device.MemoryTypeFor(entry.Grant.Memory).ToMessage(),
                P2P = entry.Grant.P2P && entry.Window.Ranges.Count == 1,
            }),
        },
        Areas =
        {
            view.Areas.Select(entry => new V1.GrantedArea
            {
                Bar = (uint)entry.Area.Range.Bar,
                Range = entry.Area.Range.ToMessage(),
                Access = entry.Grant.Access.ToMessage(),
                Exclusive = entry.Grant.Exclusive,
                MemoryType = device.MemoryTypeFor(entry.Grant.Memory).ToMessage(),
                P2P = entry.Grant.P2P,
            }),
        },
    };

    public static V1.Device ToMessage(this DeviceDefinition definition, IBarDevice device) => new()
    {
        Device_ = definition.Name,
        Address = device.Address?.ToString() ?? "",
        Simulated = definition.Source is SimulatedSource,
        Bars =
        {
            device.Bars.Select(bar => new V1.Bar { Bar_ = (uint)bar.Index, Size = bar.Size, Reserved = { bar.Reserved.Select(ToMessage) } }),
        },
        Windows =
        {
            definition.Windows.Select(window => new V1.Window { Window_ = window.Name, Bar = (uint)window.Ranges.Bar, Ranges = { window.Ranges.ToMessages() } }),
        },
    };

    private static V1.EndReason ToMessage(this EndReason reason) => reason switch
    {
        EndReason.Released => V1.EndReason.Released,
        EndReason.Revoked => V1.EndReason.Revoked,
        EndReason.ConnectionClosed => V1.EndReason.ConnectionClosed,
        EndReason.ProcessExited => V1.EndReason.ProcessExited,
        EndReason.DeviceGone => V1.EndReason.DeviceGone,
        EndReason.Shutdown => V1.EndReason.Shutdown,
        EndReason.Expired => V1.EndReason.Expired,
        _ => V1.EndReason.Unspecified,
    };

    private static string Describe(LeaseEndingEvent ending)
        => $"{(ending.Reason == EndReason.Revoked ? "An administrator revokes the lease" : "The lease ends")} at {ending.Time.UtcDateTime:HH:mm:ss.fff} UTC. Release it before.";

    private static string Describe(LeaseEndedEvent ended)
    {
        string reason = ended.Reason switch
        {
            EndReason.Released => "You released the lease.",
            EndReason.Revoked => "An administrator revoked the lease.",
            EndReason.ConnectionClosed => "The connection that the lease belonged to ended.",
            EndReason.ProcessExited => "The process that made the connection ended.",
            EndReason.DeviceGone => "The device went away.",
            EndReason.Shutdown => "The broker is shutting down.",
            EndReason.Expired => "The lease's time was over, and it was not renewed.",
            _ => "",
        };
        return ended.Confirmed ? reason : $"{reason} The kernel could not confirm that its memory can no longer be reached.";
    }
}
