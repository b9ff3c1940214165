using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>A VFIO device of which the kernel does not return.</summary>
public sealed class VfioWatchdogTests : IDisposable
{
    private readonly FakeFunction _function = new();
    private readonly FakeSession _session = new();
    private readonly FakeTimeProvider _time = new();
    private readonly ManualResetEventSlim _entered = new();
    private readonly ManualResetEventSlim _release = new();
    private readonly VfioBarDevice _device;

    public VfioWatchdogTests()
        => _device = new VfioBarDevice("nvme0", new PciAddress(0, 1, 0, 0), _function, _session, NullLogger.Instance, _time);

    public void Dispose()
    {
        _entered.Dispose();
        _release.Dispose();
        _function.Dispose();
    }

    [Fact]
    public async Task A_call_that_is_overdue_makes_the_device_stuck_until_it_returns()
    {
        Task reset = StickInReset();
        Assert.Equal(("reset", DeviceState.Stuck), (_device.Condition.StuckIn, _device.Condition.State));

        _release.Set();
        await reset;

        Assert.Equal(DeviceCondition.Serving, _device.Condition);
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task A_call_is_not_overdue_a_moment_too_soon()
    {
        Task reset = EnterReset();
        _time.Advance(DeviceThread.Overdue - TimeSpan.FromMilliseconds(1));
        Assert.Equal(DeviceState.Suspended, _device.Condition.State);

        _release.Set();
        await reset;
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task Whatever_would_wait_for_a_stuck_call_fails_at_once_and_so_does_what_waits_already()
    {
        Task reset = EnterReset();
        Task waiting = _device.SuspendAsync(SuspendReason.MemoryOff);
        _time.Advance(DeviceThread.Overdue);

        await Assert.ThrowsAsync<DeviceStuckException>(() => waiting);
        await Assert.ThrowsAsync<DeviceStuckException>(_device.ResumeAsync);
        await Assert.ThrowsAsync<DeviceStuckException>(_device.ResetAsync);

        _release.Set();
        await reset;
        Assert.Equal(["reset"], _function.Calls);
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task Whoever_wants_a_lease_of_a_device_that_is_stuck_in_a_reset_hears_that_it_is_stuck()
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, 0, 0x1000, out BarRange range));
        Task reset = EnterReset();
        await Assert.ThrowsAsync<DeviceSuspendedException>(() => _device.ExportAsync(new LeaseId(1), holder: 0, [range], ExportOptions.ReadWrite));
        _time.Advance(DeviceThread.Overdue);

        await Assert.ThrowsAsync<DeviceStuckException>(() => _device.ExportAsync(new LeaseId(2), holder: 0, [range], ExportOptions.ReadWrite));

        _release.Set();
        await reset;
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task Who_asked_for_a_reset_that_hangs_is_told_so()
    {
        Task reset = StickInReset();
        _time.Advance(VfioBarDevice.ControlTimeout - DeviceThread.Overdue);

        DeviceStuckException stuck = await Assert.ThrowsAsync<DeviceStuckException>(() => reset);

        Assert.Contains("'reset'", stuck.Message, StringComparison.Ordinal);
        _release.Set();
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task A_revocation_that_hangs_keeps_new_leases_out()
    {
        _session.BeforeRevoke = Hold;
        Task revocation = _device.RevokeAsync([new LeaseId(1)]);
        _entered.Wait(TestContext.Current.CancellationToken);
        _time.Advance(DeviceThread.Overdue);

        Assert.Equal("revoke", _device.Condition.StuckIn);
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, 0, 0x1000, out BarRange range));
        await Assert.ThrowsAsync<DeviceStuckException>(() => _device.ExportAsync(new LeaseId(2), holder: 0, [range], ExportOptions.ReadWrite));

        _release.Set();
        await revocation;
        Assert.Null(_device.Condition.StuckIn);
        await _device.DisposeAsync();
    }

    [Fact]
    public async Task Disposing_a_stuck_device_ends_in_time_and_it_is_given_back_once_the_call_returns()
    {
        Task reset = StickInReset();

        Task disposal = _device.DisposeAsync().AsTask();
        while (!disposal.IsCompleted)
        {
            // The limits begin one after the other.
            _time.Advance(VfioBarDevice.RevokeTimeout);
            await Task.WhenAny(disposal, Task.Delay(1, TestContext.Current.CancellationToken));
        }

        await disposal;
        Assert.False(_device.GivenBack.IsCompleted);
        Assert.False(_function.IsDisposed);

        _release.Set();
        await _device.GivenBack.WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(_function.IsDisposed);
        await Assert.ThrowsAnyAsync<Exception>(() => reset);
    }

    [Fact]
    public async Task What_could_not_be_revoked_is_asked_for_once_more_when_the_function_is_closed()
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, 0, 0x1000, out BarRange range));
        (await _device.ExportAsync(new LeaseId(1), holder: 0, [range], ExportOptions.ReadWrite)).Descriptor.Dispose();
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);
        _function.BeforeDispose = () => _session.RevokeFailure = null;

        await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => _device.DisposeAsync().AsTask());
        await _device.GivenBack.WaitAsync(TestContext.Current.CancellationToken);

        Assert.Equal([new LeaseId(1)], _session.Revoked);
    }

    private Task EnterReset()
    {
        _function.BeforeCall = _ => Hold();
        Task reset = _device.ResetAsync();
        _entered.Wait(TestContext.Current.CancellationToken);
        return reset;
    }

    private Task StickInReset()
    {
        Task reset = EnterReset();
        _time.Advance(DeviceThread.Overdue);
        return reset;
    }

    private void Hold()
    {
        _entered.Set();
        _release.Wait();
    }
}
