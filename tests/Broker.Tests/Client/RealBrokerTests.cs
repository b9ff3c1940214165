using BarBroker.Client;
using BarBroker.Devices.Simulated;
using BarBroker.Grpc;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>The SDK against the broker, on the real wire, with the simulated device.</summary>
public sealed class RealBrokerTests : IAsyncLifetime
{
    private TestBroker _broker = null!;
    private BarBrokerClient _client = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _broker = await TestBroker.StartAsync(Cancelled);
        _client = await BarBrokerClient.ConnectAsync(_broker.SocketPath, Cancelled);
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Fact]
    public async Task What_is_granted_is_listed()
    {
        GrantedDevice device = Assert.Single(await _client.ListDevicesAsync(Cancelled));
        Assert.Equal("sim0", device.Name);
        Assert.Equal(["left", "status"], device.Windows.Select(window => window.Name).Order());
        Assert.Equal(new GrantedArea(2, new BarRange(1 << 20, 7 << 20), LeaseAccess.ReadWrite, true, MemoryType.Cached, false), Assert.Single(device.Areas));
    }

    [Fact]
    public async Task A_leased_window_is_mapped_and_used()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        using MappedBar bar = lease.Map();

        Assert.Equal(64UL << 10, bar.Length);
        Assert.Equal(SimulatedBarDevice.Identification, bar.Read32(0));
        Assert.Equal(15u, bar.Read32((15 * 4096) + 4));
        bar.Write64(8, 0x1122334455667788);
        bar.FlushWrites(8);
        Assert.Equal(0x55667788u, bar.Read32(8));
        Assert.Equal(MemoryType.Cached, lease.MemoryType);
    }

    [Fact]
    public async Task Several_ranges_are_one_space_in_the_order_of_the_request()
    {
        BarRange[] ranges = [new(3 << 20, 8192), new(1 << 20, 4096), new(2 << 20, 4096)];
        await using BarLease lease = await _client.AcquireAsync("sim0", 2, [.. ranges], new AcquireOptions { Access = LeaseAccess.ReadWrite }, Cancelled);
        using MappedBar bar = lease.Map();

        Assert.Equal(ranges, lease.Ranges);
        Assert.Equal((3UL << 20, 16384UL, 16384UL), (lease.Offset, lease.Length, bar.Length));
        Assert.Equal([768U, 769U, 256U, 512U], [bar.Read32(4), bar.Read32(4096 + 4), bar.Read32(8192 + 4), bar.Read32(12288 + 4)]);
        bar.WriteBlock32(8192 - 8, [1, 2, 3, 4]);
        Assert.Equal([1U, 2U, 3U, 4U], [bar.Read32(8192 - 8), bar.Read32(8192 - 4), bar.Read32(8192), bar.Read32(8192 + 4)]);
    }

    [Fact]
    public async Task A_range_of_an_area_shows_its_own_place_in_the_bar()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", 2, 4 << 20, 2 << 20, LeaseAccess.ReadWrite, Cancelled);
        using MappedBar bar = lease.Map();
        Assert.Equal((4u << 20) / 4096, bar.Read32(4));
        Assert.Equal(((6u << 20) / 4096) - 1, bar.Read32((2 << 20) - 4096 + 4));
    }

    [Fact]
    public async Task A_read_only_lease_is_read_only_to_the_kernel_too()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", "status", LeaseAccess.ReadOnly, Cancelled);
        using MappedBar bar = lease.Map();
        Assert.Equal(SimulatedBarDevice.Identification, bar.Read32(0));
        Assert.Throws<BarBroker.Unix.UnixException>(() =>
            BarBroker.Unix.MemoryMapping.Map(lease.Descriptor, 0, 4096, BarBroker.Unix.Protection.Read | BarBroker.Unix.Protection.Write));
    }

    [Fact]
    public async Task A_revoked_lease_throws_on_access_and_tells_its_holder_why()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        using MappedBar bar = lease.Map();
        bar.Write32(0, 1);

        await _broker.Leases.RevokeAsync(_ => true);

        Assert.Throws<LeaseRevokedException>(() => bar.Read32(0));
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.Revoked, lease.EndReason);
        await using BarLease next = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        using MappedBar again = next.Map();
        Assert.Equal(SimulatedBarDevice.Identification, again.Read32(0));
    }

    [Fact]
    public async Task A_lease_is_renewed_for_as_long_as_it_began_with_and_ends_when_it_is_not()
    {
        AcquireOptions options = new() { Access = LeaseAccess.ReadWrite, LeaseTime = TimeSpan.FromHours(1) };
        await using BarLease lease = await _client.AcquireAsync("sim0", "left", options, Cancelled);
        using MappedBar bar = lease.Map();
        DateTimeOffset first = lease.ExpireTime!.Value;
        Assert.InRange(first, DateTimeOffset.UtcNow + TimeSpan.FromMinutes(50), DateTimeOffset.UtcNow + TimeSpan.FromMinutes(70));
        Assert.InRange((await lease.RenewAsync(cancellationToken: Cancelled))!.Value, first, first + TimeSpan.FromMinutes(10));
        bar.Write32(0, 1);

        await lease.RenewAsync(TimeSpan.FromMilliseconds(1), Cancelled);

        await EndOf(lease);
        Assert.Equal(LeaseEndReason.Expired, lease.EndReason);
        Assert.Throws<LeaseRevokedException>(() => bar.Read32(0));
    }

    [Fact]
    public async Task A_holder_that_is_told_of_its_end_puts_things_in_order_and_releases()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        using MappedBar bar = lease.Map();
        Task<BarBroker.Leases.EndResult> revoke = _broker.Leases.RevokeAsync(_ => true, TimeSpan.FromHours(1));
        await WaitFor(lease.EndAnnounced);
        Assert.Equal(LeaseEndReason.Revoked, lease.Notice!.Reason);
        bar.Write32(0, 1);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => lease.RenewAsync(cancellationToken: Cancelled));
        Assert.Equal((StatusCode.FailedPrecondition, "LEASE_ENDING"), (refused.StatusCode, refused.GetReason()));

        await lease.ReleaseAsync(Cancelled);

        Assert.Single((await revoke).Ended);
    }

    [Fact]
    public async Task What_somebody_holds_is_refused_until_it_is_released()
    {
        await using BarBrokerClient other = await BarBrokerClient.ConnectAsync(_broker.SocketPath, Cancelled);
        BarLease lease = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);

        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => other.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled));
        Assert.Equal((StatusCode.FailedPrecondition, "RANGE_LEASED"), (refused.StatusCode, refused.GetReason()));

        await lease.ReleaseAsync(Cancelled);
        await using BarLease next = await other.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        Assert.NotEqual(lease.Id, next.Id);
    }

    [Fact]
    public async Task A_disposed_client_leaves_no_lease_behind()
    {
        BarBrokerClient other = await BarBrokerClient.ConnectAsync(_broker.SocketPath, Cancelled);
        await other.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        await other.AcquireAsync("sim0", "status", LeaseAccess.ReadOnly, Cancelled);
        Assert.Equal(2, _broker.LiveLeases);

        await other.DisposeAsync();
        Assert.Equal(0, _broker.LiveLeases);
    }

    [Fact]
    public async Task A_broker_that_stops_ends_the_leases_and_the_connection()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
        using MappedBar bar = lease.Map();

        await _broker.StopAsync(Cancelled);

        Assert.Throws<LeaseRevokedException>(() => bar.Read32(0));
        await EndOf(lease);
        Assert.Equal(LeaseEndReason.Shutdown, lease.EndReason);
        await WaitFor(_client.Closed);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled));
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
    }

    [Fact]
    public async Task Many_leases_at_once_each_get_their_own_descriptor()
    {
        BarLease[] leases = await Task.WhenAll(Enumerable.Range(0, 200).Select(i =>
            _client.AcquireAsync("sim0", 2, (1 << 20) + ((ulong)i * 4096), 4096, LeaseAccess.ReadWrite, Cancelled)));

        foreach (BarLease lease in leases)
        {
            using MappedBar bar = lease.Map();
            Assert.Equal(lease.Offset / 4096, bar.Read32(4));
        }

        await Task.WhenAll(leases.Select(lease => lease.ReleaseAsync(Cancelled)));
        Assert.Equal(0, _broker.LiveLeases);
    }

    [Fact]
    public async Task Acquires_whose_callers_give_up_leave_no_lease_behind()
    {
        // Each is cancelled at another moment: before it is sent, under way, after the answer.
        await using BarBrokerClient hasty = await BarBrokerClient.ConnectAsync(_broker.SocketPath, Cancelled);
        await Task.WhenAll(Enumerable.Range(0, 200).Select(async i =>
        {
            using CancellationTokenSource impatience = new();
            Task<BarLease> acquiring = hasty.AcquireAsync("sim0", 2, (1 << 20) + ((ulong)i * 4096), 4096, LeaseAccess.ReadWrite, impatience.Token);
            for (int moment = i % 20; moment > 0; moment--)
            {
                await Task.Yield();
            }

            await impatience.CancelAsync();
            try
            {
                await (await acquiring).DisposeAsync();
            }
            catch (OperationCanceledException)
            {
            }
        }));

        // What was sent before this one has been answered before this one is; what it got is released before a range can be leased anew.
        for (int i = 0; i < 200; i++)
        {
            await using BarLease again = await AcquireWhenFree(hasty, (1 << 20) + ((ulong)i * 4096));
        }

        Assert.Equal(0, _broker.LiveLeases);
    }

    [Fact]
    public async Task Connecting_where_no_broker_is_says_what_to_do()
    {
        RpcException missing = await Assert.ThrowsAsync<RpcException>(() => BarBrokerClient.ConnectAsync(_broker.SocketPath + "-not", Cancelled));
        Assert.Equal(StatusCode.Unavailable, missing.StatusCode);
        Assert.Contains(_broker.SocketPath + "-not", missing.Message, StringComparison.Ordinal);
        RpcException tooLong = await Assert.ThrowsAsync<RpcException>(() => BarBrokerClient.ConnectAsync("/" + new string('x', 108), Cancelled));
        Assert.Contains("107 bytes", tooLong.Message, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => BarBrokerClient.ConnectAsync(_broker.SocketPath, new CancellationToken(true)));
    }

    private static async Task<BarLease> AcquireWhenFree(BarBrokerClient client, ulong offset)
    {
        while (true)
        {
            try
            {
                return await client.AcquireAsync("sim0", 2, offset, 4096, LeaseAccess.ReadWrite, Cancelled);
            }
            catch (RpcException exception) when (exception.GetReason() == "RANGE_LEASED")
            {
                // Its release is under way.
            }
        }
    }

    private static Task EndOf(BarLease lease) => WaitFor(lease.Ended);

    private static async Task WaitFor(CancellationToken token)
    {
        TaskCompletionSource cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = token.Register(cancelled.SetResult);
        await cancelled.Task.WaitAsync(Cancelled);
    }
}
