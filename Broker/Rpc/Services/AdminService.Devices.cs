using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Policy;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Rpc.Services;

internal sealed partial class AdminService
{
    private void BindDevices(IServiceBinder binder)
    {
        binder.Unary<AdminListDevicesRequest, AdminListDevicesResponse>("ListDevices", ListDevices);
        binder.Unary<SuspendDeviceRequest, SuspendDeviceResponse>("SuspendDevice", SuspendDeviceAsync);
        binder.Unary<ResumeDeviceRequest, ResumeDeviceResponse>("ResumeDevice", ResumeDeviceAsync);
        binder.Unary<ResetDeviceRequest, ResetDeviceResponse>("ResetDevice", ResetDeviceAsync);
    }

    private Task<AdminListDevicesResponse> ListDevices(AdminListDevicesRequest request, ServerCallContext context)
        => Task.FromResult(new AdminListDevicesResponse { Devices = { devices.Policy.Devices.Select(Describe) } });

    private Device Describe(DeviceDefinition definition)
    {
        IBarDevice device = devices[definition.Name];
        return definition.ToMessage(device).With(device.ConditionOf(), devices.NoteOf(definition.Name), leases.CountQuarantined(device));
    }

    private async Task<SuspendDeviceResponse> SuspendDeviceAsync(SuspendDeviceRequest request, ServerCallContext context)
    {
        if (DeviceMessages.FromMessage(request.Mode) is not { } reason)
        {
            throw RpcErrors.CreateBadRequest(
                "The request does not say how to suspend the device. Set mode to SUSPEND_MODE_MEMORY_OFF or SUSPEND_MODE_LOW_POWER.",
                Reasons.ModeMissing,
                "mode");
        }

        await ControlAsync($"Suspend ({reason})", request.Device, context, async device =>
            await (device is IControlledDevice controlled
                ? controlled.SuspendAsync(reason)
                : throw new SuspendUnsupportedException(device.Name, "it is simulated, and has neither a memory decode nor power states")));
        return new SuspendDeviceResponse();
    }

    private async Task<ResumeDeviceResponse> ResumeDeviceAsync(ResumeDeviceRequest request, ServerCallContext context)
    {
        // A simulated device is never suspended, so that there is nothing to do.
        await ControlAsync("Resume", request.Device, context, device => (device as IControlledDevice)?.ResumeAsync() ?? Task.CompletedTask);
        return new ResumeDeviceResponse();
    }

    private async Task<ResetDeviceResponse> ResetDeviceAsync(ResetDeviceRequest request, ServerCallContext context)
    {
        await ControlAsync("Reset", request.Device, context, async device =>
            await (device is IControlledDevice controlled
                ? controlled.ResetAsync()
                : throw new ResetUnsupportedException(device.Name, "it is simulated, and has no reset")));
        return new ResetDeviceResponse();
    }

    /// <summary>Calls a device, leaves a trace of who did, and tells of a failure as the .proto file has it.</summary>
    private async Task ControlAsync(string what, string name, ServerCallContext context, Func<IBarDevice, Task> control)
    {
        IBarDevice device = devices[ThrowIfUnknown(name).Name];
        if (leases.IsShuttingDown)
        {
            throw RpcErrors.Create(StatusCode.Unavailable, "The broker is shutting down: connect again once it is back.", Reasons.ShuttingDown);
        }

        PeerCredentials peer = context.Connection.Credentials;
        try
        {
            await control(device);
            ServiceLog.Controlled(logger, what, name, peer.Uid, peer.Pid, "done");
        }
        catch (Exception exception) when (Translate(exception, name) is { } error)
        {
            ServiceLog.Controlled(logger, what, name, peer.Uid, peer.Pid, exception.Message);
            throw error;
        }
    }

    private static RpcException? Translate(Exception exception, string device) => exception switch
    {
        DeviceSuspendedException => RpcErrors.Create(
            StatusCode.FailedPrecondition, $"Device '{device}' is suspended in another way. Call ResumeDevice first.", Reasons.DeviceSuspended),
        SuspendUnsupportedException => RpcErrors.Create(StatusCode.FailedPrecondition, exception.Message, Reasons.ModeUnsupported),
        ResetUnsupportedException => RpcErrors.Create(StatusCode.FailedPrecondition, exception.Message, Reasons.ResetUnsupported),
        DeviceStuckException => RpcErrors.Create(StatusCode.Unavailable, exception.Message, Reasons.DeviceStuck),

        // Closed: it was gone, or the broker stops.
        DeviceGoneException or ObjectDisposedException => RpcErrors.Create(
            StatusCode.Unavailable, $"Device '{device}' is gone: it was unplugged or unbound from vfio-pci.", Reasons.DeviceGone),
        IOException => RpcErrors.Create(StatusCode.Internal, $"Device '{device}': {exception.Message.TrimEnd('.')}.", Reasons.ControlFailed),
        _ => null,
    };
}
