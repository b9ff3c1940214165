using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>
/// Stands for a device from whose opening the kernel has not returned: stuck until it does, and gone if that comes to nothing. Nothing is
/// known of it but its name and where it sits; another takes its place once it is open.
/// </summary>
/// <param name="name">The device's name in the policy.</param>
/// <param name="address">Where it sits; null for a simulated device.</param>
/// <param name="opening">What its opening comes to.</param>
internal sealed class UnopenedDevice(string name, PciAddress? address, Task<IBarDevice> opening) : IControlledDevice
{
    private volatile DeviceCondition _condition = new(StuckIn: "open");

    /// <inheritdoc/>
    public event Action<DeviceChange>? Changed;

    /// <summary>The device, once the kernel returns.</summary>
    public Task<IBarDevice> Opening => opening;

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public PciAddress? Address => address;

    /// <summary>None that is known.</summary>
    public ImmutableArray<BarGeometry> Bars => [];

    /// <inheritdoc/>
    public bool CanOverlap => false;

    /// <inheritdoc/>
    public int MaxRanges => RangeList.MaxCount;

    /// <summary>There is nothing yet that could go away.</summary>
    public CancellationToken Gone => CancellationToken.None;

    /// <inheritdoc/>
    public DeviceCondition Condition => _condition;

    /// <summary>It was never taken.</summary>
    public Task GivenBack => Task.CompletedTask;

    private Exception Unavailable => _condition.StuckIn is { } call ? new DeviceStuckException(name, call) : new DeviceGoneException(name);

    /// <summary>The kernel returned without it.</summary>
    public void NotHad()
    {
        DeviceCondition before = _condition;
        _condition = new DeviceCondition(IsGone: true);
        Changed?.Invoke(new DeviceChange(this, before, _condition, WasReset: false));
    }

    /// <inheritdoc/>
    /// <exception cref="DeviceStuckException">It is not open yet.</exception>
    public Task<ExportedLease> ExportAsync(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options)
        => Task.FromException<ExportedLease>(Unavailable);

    /// <summary>The likely answer: of the device nothing is known yet. Once it is open, it has its own.</summary>
    public MemoryType? MemoryTypeFor(MemoryType wanted) => wanted;

    /// <summary>There are no leases of it.</summary>
    public Task RevokeAsync(ImmutableArray<LeaseId> ids) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task SuspendAsync(SuspendReason reason) => Task.FromException(Unavailable);

    /// <inheritdoc/>
    public Task ResumeAsync() => Task.FromException(Unavailable);

    /// <inheritdoc/>
    public Task ResetAsync() => Task.FromException(Unavailable);

    /// <summary>Whoever awaits <see cref="Opening"/> has the device, and closes that.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
