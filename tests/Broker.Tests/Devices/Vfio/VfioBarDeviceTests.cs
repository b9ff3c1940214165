using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class VfioBarDeviceTests : IDisposable
{
    private const uint Holder = 1001;
    private static readonly LeaseId First = new(1);

    private readonly FakeFunction _function = new();
    private readonly FakeSession _session = new();
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task An_export_gives_vfio_pcis_own_DMABUF_to_the_session_and_to_nobody_else()
    {
        await using VfioBarDevice device = NewDevice();

        ExportedLease lease = await device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadOnly);

        Assert.Equal(MemoryType.Uncached, lease.MemoryType);
        Assert.Equal((First, Holder, ExportOptions.ReadOnly), Assert.Single(_session.Exports));
        Assert.True(Assert.Single(_function.Exported).IsClosed);
        Assert.False(lease.Descriptor.IsClosed);
        lease.Descriptor.Dispose();
    }

    [Theory]
    [InlineData(Errno.Again, typeof(DeviceSuspendedException))]
    [InlineData(Errno.NoDevice, typeof(DeviceGoneException))]
    [InlineData(Errno.QuotaExceeded, typeof(LeaseQuotaException))]
    [InlineData(Errno.NoMemory, typeof(UnixException))]
    [InlineData(Errno.InvalidArgument, typeof(UnixException))]
    public async Task What_the_module_refuses_is_told_by_its_cause(int errno, Type expected)
    {
        await using VfioBarDevice device = NewDevice();
        _session.ExportFailure = new UnixException("BAR_LEASE_EXPORT", errno);

        Exception exception = await Assert.ThrowsAnyAsync<Exception>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));

        Assert.IsType(expected, exception);
        Assert.Equal(errno, ((exception as UnixException) ?? (UnixException)exception.InnerException!).Errno);
        Assert.True(Assert.Single(_function.Exported).IsClosed);
    }

    [Fact]
    public async Task Who_has_too_many_leases_in_the_kernel_is_told_what_to_close()
    {
        await using VfioBarDevice device = NewDevice();
        _session.ExportFailure = new UnixException("BAR_LEASE_EXPORT", 122);

        LeaseQuotaException exception = await Assert.ThrowsAsync<LeaseQuotaException>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));

        Assert.StartsWith($"The processes of uid {Holder} have as many leases of device '{device.Name}' as the kernel lets one user have", exception.Message, StringComparison.Ordinal);
        Assert.EndsWith("Close the descriptors and mappings of leases that are over, or release some.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_export_that_VFIO_refuses_does_not_mean_that_the_device_is_gone()
    {
        await using VfioBarDevice device = NewDevice();
        _function.BeforeExport = () => throw new UnixException("VFIO_DEVICE_FEATURE", Errno.NoDevice);

        await Assert.ThrowsAsync<UnixException>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));
    }

    [Fact]
    public async Task A_write_combining_lease_is_what_the_module_says_it_is()
    {
        await using VfioBarDevice device = NewDevice();
        _session.MemoryTypes |= 1 << (int)BarLeaseUapi.MemoryWriteCombining;
        _session.MemoryType = BarLeaseUapi.MemoryWriteCombining;
        ExportOptions options = new(LeaseAccess.ReadWrite, MemoryType.WriteCombining, P2P: true);

        ExportedLease lease = await device.ExportAsync(First, Holder, [Range(0, 0x1000)], options);

        Assert.Equal(MemoryType.WriteCombining, lease.MemoryType);
        Assert.Equal((First, Holder, options), Assert.Single(_session.Exports));
        lease.Descriptor.Dispose();
    }

    [Fact]
    public async Task A_module_without_write_combining_is_not_even_asked()
    {
        await using VfioBarDevice device = NewDevice();

        MemoryTypeUnavailableException exception = await Assert.ThrowsAsync<MemoryTypeUnavailableException>(
            () => device.ExportAsync(First, Holder, [Range(0, 0x1000)], new ExportOptions(LeaseAccess.ReadWrite, MemoryType.WriteCombining)));

        Assert.Contains("its bar_lease module makes no such leases", exception.Message, StringComparison.Ordinal);
        Assert.Equal((MemoryType.Uncached, null), (device.MemoryTypeFor(MemoryType.Uncached), device.MemoryTypeFor(MemoryType.WriteCombining)));
        Assert.Empty(_function.Exported);
    }

    [Theory]
    [InlineData(MemoryType.WriteCombining, typeof(MemoryTypeUnavailableException))]
    [InlineData(MemoryType.Uncached, typeof(UnixException))]
    public async Task EOPNOTSUPP_is_the_want_of_a_memory_type_only_where_one_was_asked_for(MemoryType wanted, Type expected)
    {
        await using VfioBarDevice device = NewDevice();
        _session.MemoryTypes |= 1 << (int)BarLeaseUapi.MemoryWriteCombining;
        _session.ExportFailure = new UnixException("BAR_LEASE_EXPORT", Errno.NotSupported);

        Exception exception = await Assert.ThrowsAnyAsync<Exception>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], new ExportOptions(LeaseAccess.ReadWrite, wanted)));

        Assert.IsType(expected, exception);
    }

    [Fact]
    public async Task A_write_combining_lease_that_the_module_made_uncached_is_no_lease()
    {
        await using VfioBarDevice device = NewDevice();
        _session.MemoryTypes |= 1 << (int)BarLeaseUapi.MemoryWriteCombining;

        await Assert.ThrowsAsync<InvalidOperationException>(
            () => device.ExportAsync(First, Holder, [Range(0, 0x1000)], new ExportOptions(LeaseAccess.ReadWrite, MemoryType.WriteCombining)));

        Assert.Equal([First], _session.Revoked);
    }

    [Theory]
    [InlineData(LeaseAccess.ReadOnly, 1)]
    [InlineData(LeaseAccess.ReadWrite, 2)]
    public async Task A_peer_to_peer_lease_that_is_read_only_or_has_two_ranges_never_reaches_the_kernel(LeaseAccess access, int ranges)
    {
        await using VfioBarDevice device = NewDevice();
        BarRange[] several = [Range(0, 0x1000), Range(0x1000, 0x1000)];

        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, Holder, [.. several.Take(ranges)], new ExportOptions(access, P2P: true)));

        Assert.Empty(_function.Exported);
    }

    [Fact]
    public async Task A_memory_type_that_nobody_asked_for_is_no_lease()
    {
        await using VfioBarDevice device = NewDevice();
        _session.MemoryType = 2;

        await Assert.ThrowsAsync<InvalidOperationException>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));

        Assert.Equal([First], _session.Revoked);
        Assert.True(Assert.Single(_session.Descriptors).IsClosed);
    }

    [Fact]
    public async Task A_lease_that_is_not_kept_and_can_not_be_revoked_is_revoked_when_the_function_is_closed()
    {
        VfioBarDevice device = NewDevice();
        _session.MemoryType = 2;
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);
        await Assert.ThrowsAsync<InvalidOperationException>(() => device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));
        _session.RevokeFailure = null;

        await device.DisposeAsync();

        Assert.Equal([First], _session.Revoked);
    }

    [Theory]
    [InlineData(0x2000, 0x1000)]
    [InlineData(0x1000, 0x2000)]
    [InlineData(0x3000, 0x2000)]
    public async Task A_range_that_touches_reserved_or_missing_bytes_never_reaches_the_kernel(ulong offset, ulong length)
    {
        await using VfioBarDevice device = NewDevice();

        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, Holder, [Range(offset, length)], ExportOptions.ReadWrite));

        Assert.Empty(_function.Exported);
    }

    [Fact]
    public async Task More_ranges_than_the_module_takes_are_refused_by_their_number()
    {
        await using VfioBarDevice device = NewDevice();

        ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(
            () => device.ExportAsync(First, Holder, [Range(0, 0x1000), Range(0x1000, 0x1000), Range(0x3000, 0x1000)], ExportOptions.ReadWrite));

        Assert.Contains("3 ranges are more than the 2", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Errno.TimedOut)]
    [InlineData(Errno.NoMemory)]
    public async Task A_revocation_that_fails_is_unconfirmed_until_a_later_one_succeeds(int errno)
    {
        await using VfioBarDevice device = NewDevice();
        (await device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor.Dispose();
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", errno);

        await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => device.RevokeAsync([First]));
        _session.RevokeFailure = null;
        await device.RevokeAsync([First]);

        Assert.Equal([First], _session.Revoked);
    }

    [Fact]
    public async Task A_revocation_that_the_kernel_holds_up_is_unconfirmed_in_time()
    {
        VfioBarDevice device = NewDevice();
        using ManualResetEventSlim release = new();
        _session.BeforeRevoke = release.Wait;

        Task revocation = device.RevokeAsync([First]);
        _time.Advance(VfioBarDevice.RevokeTimeout);

        await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => revocation);
        release.Set();
        await device.DisposeAsync();
    }

    [Fact]
    public async Task An_export_that_the_kernel_holds_up_does_not_hold_up_a_revocation()
    {
        VfioBarDevice device = NewDevice();
        using ManualResetEventSlim release = new();
        _function.BeforeExport = release.Wait;

        Task<ExportedLease> export = device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite);
        await device.RevokeAsync([new LeaseId(2)]);

        Assert.False(export.IsCompleted);
        release.Set();
        (await export).Descriptor.Dispose();
        await device.DisposeAsync();
    }

    [Fact]
    public async Task A_request_of_the_kernel_is_told_as_Gone_and_the_function_is_kept_until_it_is_disposed()
    {
        VfioBarDevice device = NewDevice();
        (await device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor.Dispose();
        TaskCompletionSource gone = new();
        using CancellationTokenRegistration registration = device.Gone.Register(gone.SetResult);

        _function.Request!.Signal();
        await gone.Task.WaitAsync(TestContext.Current.CancellationToken);

        Assert.Empty(_session.Revoked);
        Assert.False(_function.IsDisposed);
        await Assert.ThrowsAsync<DeviceGoneException>(() => device.ExportAsync(new LeaseId(2), Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite));

        await device.DisposeAsync();
        Assert.Equal([First], _session.Revoked);
        Assert.True(_function.IsDisposed);
    }

    [Fact]
    public async Task Disposing_revokes_what_is_left_before_it_closes_the_function()
    {
        VfioBarDevice device = NewDevice();
        (await device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor.Dispose();
        _session.BeforeRevoke = () => Assert.False(_function.IsDisposed);

        await device.DisposeAsync();
        await device.DisposeAsync();

        Assert.Equal([First], _session.Revoked);
        Assert.True(_function.IsDisposed);
        Assert.False(device.Gone.IsCancellationRequested);
    }

    [Fact]
    public async Task An_export_that_ends_after_disposal_leaves_no_lease()
    {
        VfioBarDevice device = NewDevice();
        using ManualResetEventSlim exporting = new();
        using ManualResetEventSlim release = new();
        _function.BeforeExport = () =>
        {
            exporting.Set();
            release.Wait();
        };
        Task<ExportedLease> export = device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite);
        exporting.Wait(TestContext.Current.CancellationToken);

        Task disposal = device.DisposeAsync().AsTask();
        Assert.False(_function.IsDisposed);
        release.Set();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => export);
        await disposal;
        Assert.Equal([First], _session.Revoked);
        Assert.True(Assert.Single(_session.Descriptors).IsClosed);
    }

    [Fact]
    public async Task Disposing_closes_the_function_even_when_the_revocation_fails()
    {
        VfioBarDevice device = NewDevice();
        (await device.ExportAsync(First, Holder, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor.Dispose();
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);

        await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => device.DisposeAsync().AsTask());

        Assert.True(_function.IsDisposed);
    }

    [Fact]
    public async Task Once_the_function_is_closed_whatever_is_revoked_has_ended()
    {
        VfioBarDevice device = NewDevice();
        await device.DisposeAsync();

        await device.RevokeAsync([First]);

        Assert.True(device.GivenBack.IsCompletedSuccessfully);
    }

    [Fact]
    public void A_function_that_can_not_be_described_is_no_device()
    {
        _function.ReadFailure = new InvalidDataException("the list of capabilities is a loop");

        Assert.Throws<InvalidDataException>(NewDevice);
    }

    public void Dispose() => _function.Dispose();

    private static BarRange Range(ulong offset, ulong length)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(0, offset, length, out BarRange range));
        return range;
    }

    private VfioBarDevice NewDevice() => new("nvme0", new PciAddress(0, 1, 0, 0), _function, _session, NullLogger.Instance, _time);
}
