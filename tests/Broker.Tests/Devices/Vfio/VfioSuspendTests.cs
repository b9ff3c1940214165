using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>A VFIO device that is suspended, resumed and reset.</summary>
public sealed class VfioSuspendTests : IAsyncDisposable
{
    private readonly FakeFunction _function = new();
    private readonly FakeSession _session = new();
    private readonly VfioBarDevice _device;
    private readonly List<DeviceChange> _changes = [];

    public VfioSuspendTests()
    {
        _device = new VfioBarDevice("nvme0", new PciAddress(0, 1, 0, 0), _function, _session, NullLogger.Instance, new FakeTimeProvider());
        _device.Changed += _changes.Add;
    }

    public ValueTask DisposeAsync() => _device.DisposeAsync();

    [Theory]
    [InlineData(SuspendReason.MemoryOff, "memory off", "memory on")]
    [InlineData(SuspendReason.LowPower, "sleep", "wake")]
    public async Task Suspending_is_told_before_it_happens_and_resuming_after(SuspendReason reason, string suspend, string resume)
    {
        List<string> order = [];
        _device.Changed += change => order.Add($"{change.Now.State}");
        _function.BeforeCall = order.Add;

        await _device.SuspendAsync(reason);
        Assert.Equal((DeviceState.Suspended, reason), (_device.Condition.State, _device.Condition.Suspended));
        await _device.ResumeAsync();

        Assert.Equal(["Suspended", suspend, resume, "Serving"], order);
        Assert.False(_changes[^1].WasReset);
    }

    [Fact]
    public async Task A_suspended_device_exports_nothing_and_revokes_as_ever()
    {
        await _device.SuspendAsync(SuspendReason.LowPower);

        await Assert.ThrowsAsync<DeviceSuspendedException>(ExportAsync);
        await _device.RevokeAsync([new LeaseId(7)]);

        Assert.Empty(_function.Exported);
        Assert.Equal([new LeaseId(7)], _session.Revoked);
        await _device.ResumeAsync();
        (await ExportAsync()).Descriptor.Dispose();
    }

    [Fact]
    public async Task An_export_that_waits_for_a_suspension_is_not_made()
    {
        using ManualResetEventSlim suspending = new();
        using ManualResetEventSlim release = new();
        _function.BeforeExport = () =>
        {
            suspending.Set();
            release.Wait();
        };
        Task<ExportedLease> first = ExportAsync(1);
        suspending.Wait(TestContext.Current.CancellationToken);

        Task suspend = _device.SuspendAsync(SuspendReason.MemoryOff);
        Task<ExportedLease> second = ExportAsync(2);
        release.Set();

        (await first).Descriptor.Dispose();
        await suspend;
        await Assert.ThrowsAsync<DeviceSuspendedException>(() => second);
        Assert.Single(_function.Exported);
    }

    [Theory]
    [InlineData(SuspendReason.MemoryOff, "memory off")]
    [InlineData(SuspendReason.LowPower, "sleep")]
    public async Task Suspending_twice_is_suspending_once(SuspendReason reason, string call)
    {
        await _device.SuspendAsync(reason);
        await _device.SuspendAsync(reason);

        Assert.Equal([call], _function.Calls);
        Assert.Single(_changes);
    }

    [Theory]
    [InlineData(SuspendReason.MemoryOff, SuspendReason.LowPower)]
    [InlineData(SuspendReason.LowPower, SuspendReason.MemoryOff)]
    public async Task A_device_that_is_suspended_in_one_way_is_not_suspended_in_the_other(SuspendReason first, SuspendReason second)
    {
        await _device.SuspendAsync(first);

        await Assert.ThrowsAsync<DeviceSuspendedException>(() => _device.SuspendAsync(second));

        Assert.Equal(first, _device.Condition.Suspended);
        Assert.Single(_function.Calls);
    }

    [Fact]
    public async Task Resuming_what_is_not_suspended_is_nothing()
    {
        await _device.ResumeAsync();

        Assert.Empty(_function.Calls);
        Assert.Empty(_changes);
    }

    [Fact]
    public async Task Without_power_management_there_is_no_low_power()
    {
        _function.CanSleep = false;

        await Assert.ThrowsAsync<SuspendUnsupportedException>(() => _device.SuspendAsync(SuspendReason.LowPower));

        Assert.Equal(DeviceState.Serving, _device.Condition.State);
        Assert.Empty(_changes);
        await _device.SuspendAsync(SuspendReason.MemoryOff);
    }

    [Fact]
    public Task Only_an_administrators_ways_of_suspending_can_be_asked_for()
        => Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _device.SuspendAsync(SuspendReason.Reset));

    [Fact]
    public async Task A_reset_suspends_while_it_lasts_and_is_told_when_it_is_over()
    {
        DeviceState during = default;
        _function.BeforeCall = _ => during = _device.Condition.State;

        await _device.ResetAsync();

        Assert.Equal(DeviceState.Suspended, during);
        Assert.Equal([(SuspendReason.Reset, false), (null, true)], _changes.Select(change => (change.Now.Suspended, change.WasReset)));
    }

    [Fact]
    public async Task A_reset_with_memory_off_turns_it_on_afterwards()
    {
        await _device.SuspendAsync(SuspendReason.MemoryOff);
        await _device.ResetAsync();

        Assert.Equal(["memory off", "reset", "memory on"], _function.Calls);
        Assert.Equal([(SuspendReason.MemoryOff, false), (null, true)], _changes.Select(change => (change.Now.Suspended, change.WasReset)));
    }

    [Fact]
    public async Task A_sleeping_device_is_woken_before_it_is_reset()
    {
        await _device.SuspendAsync(SuspendReason.LowPower);
        await _device.ResetAsync();

        Assert.Equal(["sleep", "wake", "reset"], _function.Calls);
        Assert.Equal((DeviceState.Serving, true), (_device.Condition.State, _changes[^1].WasReset));
    }

    [Fact]
    public async Task Without_a_reset_it_is_refused_and_nothing_changes()
    {
        _function.CanReset = false;

        await Assert.ThrowsAsync<ResetUnsupportedException>(_device.ResetAsync);

        Assert.Empty(_changes);
    }

    [Theory]
    [InlineData("memory off")]
    [InlineData("reset")]
    public async Task What_fails_leaves_the_device_serving(string call)
    {
        _function.BeforeCall = made => _ = made == call ? throw new UnixException(call, Errno.Again) : made;

        await Assert.ThrowsAsync<UnixException>(() => call == "reset" ? _device.ResetAsync() : _device.SuspendAsync(SuspendReason.MemoryOff));

        Assert.Equal(DeviceState.Serving, _device.Condition.State);
        Assert.Equal(call == "reset", _changes[^1].WasReset);
        (await ExportAsync()).Descriptor.Dispose();
    }

    [Fact]
    public async Task A_resumption_that_fails_leaves_it_suspended_and_can_be_repeated()
    {
        await _device.SuspendAsync(SuspendReason.LowPower);
        _function.BeforeCall = _ => throw new IOException("it did not wake up");
        await Assert.ThrowsAsync<IOException>(_device.ResumeAsync);
        Assert.Equal(SuspendReason.LowPower, _device.Condition.Suspended);

        _function.BeforeCall = _ => { };
        await _device.ResumeAsync();

        Assert.Equal(DeviceState.Serving, _device.Condition.State);
    }

    [Theory]
    [InlineData(SuspendReason.MemoryOff, "memory on")]
    [InlineData(SuspendReason.LowPower, "wake")]
    public async Task A_suspension_that_fails_and_can_not_be_undone_stands_until_a_resumption_succeeds(SuspendReason reason, string undo)
    {
        _function.BeforeCall = call => throw new UnixException(call, Errno.Again);
        await Assert.ThrowsAsync<UnixException>(() => _device.SuspendAsync(reason));
        Assert.Equal(reason, _device.Condition.Suspended);

        _function.BeforeCall = _ => { };
        await _device.ResumeAsync();

        Assert.Equal([undo], _function.Calls);
        Assert.Equal(DeviceState.Serving, _device.Condition.State);
    }

    [Theory]
    [InlineData(SuspendReason.MemoryOff, "memory off", "memory on")]
    [InlineData(SuspendReason.LowPower, "sleep", "wake")]
    public async Task A_suspension_that_fails_is_undone(SuspendReason reason, string failing, string undo)
    {
        _function.BeforeCall = call => _ = call == failing ? throw new UnixException(call, Errno.Again) : call;

        await Assert.ThrowsAsync<UnixException>(() => _device.SuspendAsync(reason));

        Assert.Equal([undo], _function.Calls);
        Assert.Equal(DeviceState.Serving, _device.Condition.State);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Waking_up_is_told_as_a_reset_unless_the_function_sleeps_without_one(bool withoutReset)
    {
        _function.SleepsWithoutReset = withoutReset;

        await _device.SuspendAsync(SuspendReason.LowPower);
        await _device.ResumeAsync();

        Assert.Equal(!withoutReset, _changes[^1].WasReset);
    }

    [Theory]
    [InlineData("reset")]
    [InlineData("memory on")]
    public async Task A_reset_that_fails_with_memory_off_is_told_once_by_the_resumption_after_it(string failing)
    {
        await _device.SuspendAsync(SuspendReason.MemoryOff);
        _function.BeforeCall = call => _ = call == failing ? throw new UnixException(call, Errno.Again) : call;
        await Assert.ThrowsAsync<UnixException>(_device.ResetAsync);
        _function.BeforeCall = _ => { };

        await _device.ResumeAsync();
        Assert.True(_changes[^1].WasReset);

        await _device.SuspendAsync(SuspendReason.MemoryOff);
        await _device.ResumeAsync();
        Assert.False(_changes[^1].WasReset);
    }

    [Fact]
    public async Task A_device_that_is_gone_is_not_touched()
    {
        TaskCompletionSource gone = new();
        using CancellationTokenRegistration registration = _device.Gone.Register(gone.SetResult);
        _function.Request!.Signal();
        await gone.Task.WaitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(DeviceState.Gone, _device.Condition.State);
        await Assert.ThrowsAsync<DeviceGoneException>(() => _device.SuspendAsync(SuspendReason.MemoryOff));
        await Assert.ThrowsAsync<DeviceGoneException>(_device.ResumeAsync);
        await Assert.ThrowsAsync<DeviceGoneException>(_device.ResetAsync);
        Assert.Empty(_function.Calls);
    }

    private Task<ExportedLease> ExportAsync() => ExportAsync(1);

    private Task<ExportedLease> ExportAsync(ulong id)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, 0, 0x1000, out BarRange range));
        return _device.ExportAsync(new LeaseId(id), holder: 0, [range], ExportOptions.ReadWrite);
    }
}
