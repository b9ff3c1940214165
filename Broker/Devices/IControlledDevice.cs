namespace BarBroker.Devices;

/// <summary>
/// A device that can be suspended, resumed and reset, and that can go away or get stuck. Its calls are carried out one after the
/// other, and never while a lease is being exported.
/// </summary>
public interface IControlledDevice : IBarDevice
{
    /// <summary>How it is. May be read at any time, without waiting.</summary>
    DeviceCondition Condition { get; }

    /// <summary>
    /// Its condition changes: of a suspension just before the memory can't be reached any more, of a resumption once it can. Handlers are
    /// called one after the other, in the order of the changes; they may neither block nor call the device.
    /// </summary>
    event Action<DeviceChange>? Changed;

    /// <summary>
    /// Completes once it was disposed and the kernel has it back, which may be later than its disposal: no lease of it reaches anything
    /// any more, whether its end was confirmed or not.
    /// </summary>
    Task GivenBack { get; }

    /// <summary>Makes the memory unreachable, until it is resumed. Leases stand. Nothing happens when it is suspended so already.</summary>
    /// <param name="reason"><see cref="SuspendReason.MemoryOff"/> or <see cref="SuspendReason.LowPower"/>.</param>
    /// <exception cref="DeviceSuspendedException">It is suspended in another way.</exception>
    /// <exception cref="SuspendUnsupportedException">It can't be suspended in this way.</exception>
    /// <exception cref="DeviceStuckException">The kernel has not returned from this call or one before it; it may yet.</exception>
    /// <exception cref="DeviceGoneException">It went away.</exception>
    /// <exception cref="IOException">The device or the kernel refused.</exception>
    Task SuspendAsync(SuspendReason reason);

    /// <summary>Makes the memory reachable again. Nothing happens when it is.</summary>
    /// <inheritdoc cref="SuspendAsync" path="/exception[@cref!='SuspendUnsupportedException']"/>
    Task ResumeAsync();

    /// <summary>Resets it, and resumes it if it was suspended. Leases stand.</summary>
    /// <exception cref="ResetUnsupportedException">The kernel knows no way to reset it.</exception>
    /// <exception cref="DeviceStuckException">The kernel has not returned from this call or one before it; it may yet.</exception>
    /// <exception cref="DeviceGoneException">It went away.</exception>
    /// <exception cref="IOException">The device or the kernel refused.</exception>
    Task ResetAsync();
}

/// <summary>What every device tells of itself, whether it can be controlled or not.</summary>
internal static class DeviceConditions
{
    /// <summary>How a device is.</summary>
    public static DeviceCondition ConditionOf(this IBarDevice device) => device switch
    {
        IControlledDevice controlled => controlled.Condition,
        { Gone.IsCancellationRequested: true } => new DeviceCondition(IsGone: true),
        _ => DeviceCondition.Serving,
    };
}
