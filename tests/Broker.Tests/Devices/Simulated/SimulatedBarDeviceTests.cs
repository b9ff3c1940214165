using System.Buffers.Binary;
using BarBroker.Devices;
using BarBroker.Devices.Simulated;
using BarBroker.Unix;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Devices.Simulated;

public sealed class SimulatedBarDeviceTests
{
    private static readonly LeaseId First = new(1);
    private static readonly LeaseId Second = new(2);

    [Fact]
    public async Task Every_page_of_a_new_lease_tells_what_and_which_it_is()
    {
        await using SimulatedBarDevice device = NewDevice();

        ExportedLease lease = await device.ExportAsync(First, holder: 0, [Range(0x3000, 0x2000), Range(0x20000, 0x1000)], ExportOptions.ReadWrite);

        using OwnedDescriptor descriptor = lease.Descriptor;
        Assert.Equal(MemoryType.Cached, lease.MemoryType);
        Assert.Equal(0x3000UL, Files.LengthOf(descriptor));
        Assert.Equal((0x00b12b0cU, 3U), PageHeader(descriptor, 0));
        Assert.Equal((0x00b12b0cU, 4U), PageHeader(descriptor, 1));
        Assert.Equal((0x00b12b0cU, 32U), PageHeader(descriptor, 2));
        byte[] rest = new byte[4096 - 8];
        Files.ReadAt(descriptor, rest, 8);
        Assert.All(rest, value => Assert.Equal(0, value));
    }

    [Fact]
    public async Task A_large_lease_is_filled_to_its_last_page()
    {
        await using SimulatedBarDevice device = NewDevice();

        using OwnedDescriptor descriptor = (await device.ExportAsync(First, holder: 0, [Range(0x1000, 0x23000)], ExportOptions.ReadOnly)).Descriptor;

        Assert.All(Enumerable.Range(0, 0x23), page => Assert.Equal((0x00b12b0cU, (uint)page + 1), PageHeader(descriptor, page)));
    }

    [Fact]
    public async Task The_next_lease_of_a_range_sees_nothing_of_the_last()
    {
        await using SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor first = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        Files.WriteAt(first, "secret"u8, 64);
        await device.RevokeAsync([First]);

        using OwnedDescriptor second = (await device.ExportAsync(Second, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        byte[] read = new byte[6];
        Files.ReadAt(second, read, 64);
        Assert.Equal(new byte[6], read);
    }

    [Fact]
    public async Task Revoke_ends_exactly_the_leases_that_it_names()
    {
        await using SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor first = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        using OwnedDescriptor second = (await device.ExportAsync(Second, holder: 0, [Range(0x1000, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        await device.RevokeAsync([First]);

        Assert.Equal(0UL, Files.LengthOf(first));
        Assert.Equal(0x1000UL, Files.LengthOf(second));
    }

    [Fact]
    public async Task Revoking_what_is_not_live_is_no_error()
    {
        await using SimulatedBarDevice device = NewDevice();
        (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor.Dispose();

        await device.RevokeAsync([First, First, new LeaseId(99)]);
        await device.RevokeAsync([First]);
        await device.RevokeAsync([]);
    }

    [Fact]
    public async Task A_live_id_is_refused_and_its_lease_goes_on()
    {
        await using SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor first = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, holder: 0, [Range(0x1000, 0x1000)], ExportOptions.ReadWrite));

        Assert.Equal(0x1000UL, Files.LengthOf(first));
    }

    [Fact]
    public async Task Disposing_ends_every_lease_and_refuses_new_ones()
    {
        SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor first = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        await device.DisposeAsync();

        Assert.Equal(0UL, Files.LengthOf(first));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => device.ExportAsync(Second, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite));
    }

    [Fact]
    public async Task A_read_only_lease_can_not_be_written_even_through_the_brokers_own_descriptor()
    {
        await using SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor lease = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadOnly)).Descriptor;

        Assert.Equal(Seals.Seal | Seals.Grow | Seals.FutureWrite, MemFd.GetSeals(lease) & ~Seals.Exec);
        UnixException exception = Assert.Throws<UnixException>(() => MemoryMapping.Map(lease, 0, 0x1000, Protection.Read | Protection.Write));
        Assert.Equal(13, exception.Errno);
    }

    [Fact]
    public async Task The_size_of_a_lease_is_not_sealed_against_the_brokers_truncation()
    {
        await using SimulatedBarDevice device = NewDevice();
        using OwnedDescriptor lease = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        Assert.Equal(Seals.Seal | Seals.Grow, MemFd.GetSeals(lease) & ~Seals.Exec);
    }

    [Theory]
    [InlineData(3, 0, 0x1000)]
    [InlineData(2, 0x100000, 0x1000)]
    [InlineData(2, 0xff000, 0x2000)]
    public async Task A_range_outside_the_devices_BARs_is_refused(int bar, ulong offset, ulong length)
    {
        await using SimulatedBarDevice device = NewDevice();
        Assert.Equal(RangeError.None, BarRange.TryCreate(bar, offset, length, out BarRange range));

        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, holder: 0, [range], ExportOptions.ReadOnly));
        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, holder: 0, [], ExportOptions.ReadOnly));
    }

    [Fact]
    public async Task Its_memory_is_cached_whatever_was_asked_for_and_says_so()
    {
        await using SimulatedBarDevice device = NewDevice();

        ExportedLease lease = await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], new ExportOptions(LeaseAccess.ReadWrite, MemoryType.WriteCombining));

        lease.Descriptor.Dispose();
        Assert.Equal((MemoryType.Cached, MemoryType.Cached), (lease.MemoryType, device.MemoryTypeFor(MemoryType.WriteCombining)));
    }

    [Fact]
    public async Task There_is_no_peer_to_peer_lease_of_it()
    {
        await using SimulatedBarDevice device = NewDevice();

        await Assert.ThrowsAsync<ArgumentException>(() => device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], new ExportOptions(LeaseAccess.ReadWrite, P2P: true)));
    }

    [Theory]
    [InlineData(-1, 0x1000)]
    [InlineData(6, 0x1000)]
    [InlineData(0, 0)]
    [InlineData(0, 0x800)]
    public void A_BAR_that_can_not_be_is_refused(int index, ulong size)
    {
        ArgumentException exception = Assert.Throws<ArgumentException>(() => new SimulatedBarDevice("sim", [new(index, size)]));
        Assert.Contains("sim", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void BARs_are_in_order_of_their_index()
    {
        SimulatedBarDevice device = new("sim", [new(4, 0x1000), new(0, 0x2000)]);

        Assert.Equal([0, 4], device.Bars.Select(bar => bar.Index));
        Assert.Equal([0x2000UL, 0x1000UL], device.Bars.Select(bar => bar.Size));
    }

    [Fact]
    public async Task A_holder_that_blocks_the_truncation_delays_nobody_else_and_leaves_its_range_unconfirmed()
    {
        FakeTimeProvider time = new();
        using ManualResetEventSlim release = new();
        ulong? blocked = null;
        SimulatedBarDevice device = new("sim", [new(2, 0x100000)], time)
        {
            Truncate = descriptor =>
            {
                if (Files.InodeOf(descriptor) == blocked)
                {
                    release.Wait(TestContext.Current.CancellationToken);
                }

                Files.Truncate(descriptor, 0);
            },
        };
        using OwnedDescriptor hostile = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        using OwnedDescriptor innocent = (await device.ExportAsync(Second, holder: 0, [Range(0x1000, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        blocked = Files.InodeOf(hostile);

        Task revocation = device.RevokeAsync([First]);
        await device.RevokeAsync([Second]);
        Assert.Equal(0UL, Files.LengthOf(innocent));
        time.Advance(SimulatedBarDevice.RevokeTimeout);

        await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => revocation);
        release.Set();
        await device.RevokeAsync([First]);
        Assert.Equal(0UL, Files.LengthOf(hostile));
        await device.DisposeAsync();
    }

    [Fact]
    public async Task A_revocation_that_fails_for_one_lease_has_ended_the_others()
    {
        ulong hostile = 0;
        await using SimulatedBarDevice device = new("sim", [new(2, 0x100000)])
        {
            Truncate = descriptor => Files.Truncate(descriptor, Files.InodeOf(descriptor) == hostile ? ulong.MaxValue : 0),
        };
        using OwnedDescriptor first = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        using OwnedDescriptor second = (await device.ExportAsync(Second, holder: 0, [Range(0x1000, 0x1000)], ExportOptions.ReadWrite)).Descriptor;
        hostile = Files.InodeOf(first);

        Assert.Equal([First], (await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => device.RevokeAsync([First, Second]))).Unconfirmed);

        Assert.Equal(0UL, Files.LengthOf(second));
        hostile = 0;
    }

    [Fact]
    public async Task A_truncation_that_failed_is_tried_again_by_the_next_revoke()
    {
        bool fail = true;
        await using SimulatedBarDevice device = new("sim", [new(2, 0x100000)])
        {
            Truncate = descriptor => Files.Truncate(descriptor, fail ? ulong.MaxValue : 0),
        };
        using OwnedDescriptor lease = (await device.ExportAsync(First, holder: 0, [Range(0, 0x1000)], ExportOptions.ReadWrite)).Descriptor;

        RevocationUnconfirmedException exception = await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => device.RevokeAsync([First]));
        Assert.IsType<UnixException>(exception.InnerException);
        fail = false;
        await device.RevokeAsync([First]);

        Assert.Equal(0UL, Files.LengthOf(lease));
    }

    private static SimulatedBarDevice NewDevice() => new("sim", [new(2, 0x100000)]);

    private static BarRange Range(ulong offset, ulong length)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(2, offset, length, out BarRange range));
        return range;
    }

    private static (uint Identification, uint Number) PageHeader(OwnedDescriptor descriptor, int page)
    {
        byte[] header = new byte[8];
        Assert.Equal(8, Files.ReadAt(descriptor, header, (ulong)page * 4096));
        return (BinaryPrimitives.ReadUInt32LittleEndian(header), BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)));
    }
}
