using BarBroker.Devices;
using BarBroker.Leases;
using V1 = BarBroker.V1;

namespace BarBroker.Rpc.Services;

/// <summary>How devices are, as messages of barbroker.v1.</summary>
internal static class DeviceMessages
{
    /// <summary>Adds how the device is.</summary>
    /// <param name="message">What it is.</param>
    /// <param name="condition">How it is.</param>
    /// <param name="note">Why it was not taken, if it is gone and that is known.</param>
    /// <param name="quarantined">How many leases of it could not be confirmed to be over.</param>
    public static V1.Device With(this V1.Device message, DeviceCondition condition, string? note, int quarantined)
    {
        message.State = condition.State switch
        {
            DeviceState.Serving => V1.DeviceState.Serving,
            DeviceState.Suspended => V1.DeviceState.Suspended,
            DeviceState.Stuck => V1.DeviceState.Stuck,
            DeviceState.Gone => V1.DeviceState.Gone,
            _ => V1.DeviceState.Unspecified,
        };
        message.SuspendReason = condition.Suspended is { } reason ? reason.ToMessage() : V1.SuspendReason.Unspecified;
        message.Message = string.Join(' ', Describe(condition, note, quarantined));
        return message;
    }

    public static V1.DeviceSuspended ToMessage(this DeviceSuspendedEvent suspended) => new()
    {
        Device = suspended.Device,
        Reason = suspended.Reason.ToMessage(),
        Message = Describe(suspended.Reason),
    };

    /// <summary>Null for a mode that is none.</summary>
    public static SuspendReason? FromMessage(V1.SuspendMode mode) => mode switch
    {
        V1.SuspendMode.MemoryOff => SuspendReason.MemoryOff,
        V1.SuspendMode.LowPower => SuspendReason.LowPower,
        _ => null,
    };

    private static V1.SuspendReason ToMessage(this SuspendReason reason) => reason switch
    {
        SuspendReason.MemoryOff => V1.SuspendReason.MemoryOff,
        SuspendReason.LowPower => V1.SuspendReason.LowPower,
        SuspendReason.Reset => V1.SuspendReason.Reset,
        _ => V1.SuspendReason.Unspecified,
    };

    private static string Describe(SuspendReason reason) => reason switch
    {
        SuspendReason.MemoryOff => "An administrator turned its memory decode off.",
        SuspendReason.LowPower => "An administrator put it into D3hot.",
        SuspendReason.Reset => "It is being reset.",
        _ => "",
    };

    private static IEnumerable<string> Describe(DeviceCondition condition, string? note, int quarantined)
    {
        if (condition.StuckIn is { } call)
        {
            yield return $"The kernel does not return from '{call}'; the broker's log says since when.";
        }

        if (condition.IsGone)
        {
            yield return "It was unplugged or unbound, or it can't be opened. The broker takes it back once it is bound to vfio-pci and can be.";
            if (note is not null)
            {
                yield return note;
            }
        }
        else if (condition.Suspended is { } reason)
        {
            yield return Describe(reason);
        }

        if (quarantined > 0)
        {
            yield return $"The end of {quarantined} {(quarantined == 1 ? "lease" : "leases")} could not be confirmed: their ranges are quarantined, and the broker keeps trying.";
        }
    }
}
