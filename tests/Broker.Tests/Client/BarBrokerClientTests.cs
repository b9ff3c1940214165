using BarBroker.Client;
using BarBroker.Grpc;
using BarBroker.Unix;
using BarBroker.V1;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Client;

public sealed class BarBrokerClientTests : IAsyncDisposable
{
    private readonly FakeConnection _broker = new();
    private readonly FakeTimeProvider _time = new();
    private readonly BarBrokerClient _client;

    public BarBrokerClientTests()
    {
        _client = new BarBrokerClient(_broker, _time);
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    [Fact]
    public async Task A_lease_says_what_it_is()
    {
        await using BarLease lease = await AcquireAsync();

        Assert.Equal(1UL, lease.Id);
        Assert.Equal(("sim0", "left", 2), (lease.Device, lease.Window, lease.Bar));
        Assert.Equal((0x1000UL, 4096UL), (lease.Offset, lease.Length));
        Assert.Equal((LeaseAccess.ReadWrite, true, BarBroker.Client.MemoryType.Cached), (lease.Access, lease.Exclusive, lease.MemoryType));
        Assert.Null(lease.EndReason);
        Assert.Null(lease.EndMessage);
        Assert.False(lease.Ended.IsCancellationRequested);
        Assert.Equal(Delivery.InBand, Assert.Single(_broker.Requests).Delivery);
    }

    [Fact]
    public async Task A_range_is_asked_for_as_it_was_given()
    {
        await using BarLease lease = await _client.AcquireAsync("sim0", 2, 0x3000, 0x2000, LeaseAccess.ReadOnly, Cancelled);

        AcquireRequest request = Assert.Single(_broker.Requests);
        Assert.Equal(new BarRanges { Bar = 2, Ranges = { new V1.Range { Offset = 0x3000, Length = 0x2000 } } }, request.Ranges);
        Assert.Equal(Access.ReadOnly, request.Access);
        Assert.Null(lease.Window);
    }

    [Fact]
    public async Task Arguments_that_cannot_be_right_are_refused_before_anything_is_sent()
    {
        await Assert.ThrowsAsync<ArgumentException>(() => _client.AcquireAsync("", "left", LeaseAccess.ReadOnly, Cancelled));
        await Assert.ThrowsAsync<ArgumentException>(() => _client.AcquireAsync("sim0", "", LeaseAccess.ReadOnly, Cancelled));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _client.AcquireAsync("sim0", "left", 0, Cancelled));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _client.AcquireAsync("sim0", -1, 0, 4096, LeaseAccess.ReadOnly, Cancelled));
        await Assert.ThrowsAsync<ArgumentException>(() => BarBrokerClient.ConnectAsync("", Cancelled));
        Assert.Empty(_broker.Requests);
        Assert.Equal(0, _broker.Watches);
    }

    [Fact]
    public async Task Granted_devices_are_listed_with_windows_and_areas()
    {
        _broker.Devices = new ListDevicesResponse
        {
            Devices =
            {
                new V1.GrantedDevice
                {
                    Device = "sim0",
                    Windows = { new V1.GrantedWindow { Window = "left", Bar = 2, Ranges = { new V1.Range { Length = 4096 } }, Access = Access.ReadOnly, MemoryType = V1.MemoryType.WriteCombining, P2P = true } },
                    Areas = { new V1.GrantedArea { Bar = 3, Range = new V1.Range { Offset = 4096, Length = 8192 }, Access = Access.ReadWrite, Exclusive = true } },
                },
            },
        };

        BarBroker.Client.GrantedDevice device = Assert.Single(await _client.ListDevicesAsync(Cancelled));
        Assert.Equal("sim0", device.Name);
        BarBroker.Client.GrantedWindow window = Assert.Single(device.Windows);
        Assert.Equal(("left", 2, LeaseAccess.ReadOnly, false, BarBroker.Client.MemoryType.WriteCombining, true), (window.Name, window.Bar, window.Access, window.Exclusive, window.MemoryType, window.P2P));
        Assert.Equal(new BarRange(0, 4096), Assert.Single(window.Ranges));
        Assert.Equal(new BarBroker.Client.GrantedArea(3, new BarRange(4096, 8192), LeaseAccess.ReadWrite, true, BarBroker.Client.MemoryType.Unknown, false), Assert.Single(device.Areas));
    }

    [Fact]
    public async Task Ranges_are_asked_for_in_their_order_and_with_every_option()
    {
        AcquireOptions options = new() { Access = LeaseAccess.ReadWrite, P2P = true };

        await using BarLease lease = await _client.AcquireAsync("sim0", 3, [new BarRange(0x4000, 0x1000), new BarRange(0, 0x2000)], options, Cancelled);

        AcquireRequest request = Assert.Single(_broker.Requests);
        Assert.Equal(("sim0", 3U, Access.ReadWrite, true), (request.Device, request.Ranges.Bar, request.Access, request.P2P));
        Assert.Equal([(0x4000UL, 0x1000UL), (0UL, 0x2000UL)], request.Ranges.Ranges.Select(range => (range.Offset, range.Length)));
    }

    [Fact]
    public async Task A_window_is_asked_for_with_every_option_and_peer_to_peer_only_on_request()
    {
        await using BarLease first = await _client.AcquireAsync("sim0", "left", new AcquireOptions { Access = LeaseAccess.ReadWrite, P2P = true }, Cancelled);
        await using BarLease second = await _client.AcquireAsync("sim0", "left", LeaseAccess.ReadOnly, Cancelled);
        await using BarLease third = await _client.AcquireAsync("sim0", 2, 0, 4096, LeaseAccess.ReadOnly, Cancelled);

        Assert.Equal(
            [("left", Access.ReadWrite, true), ("left", Access.ReadOnly, false), ("", Access.ReadOnly, false)],
            _broker.Requests.Select(request => (request.Window, request.Access, request.P2P)));
    }

    [Fact]
    public async Task Without_ranges_or_options_nothing_is_asked_for()
    {
        AcquireOptions options = new() { Access = LeaseAccess.ReadOnly };

        await Assert.ThrowsAsync<ArgumentException>("ranges", () => _client.AcquireAsync("sim0", 3, [], options, Cancelled));
        await Assert.ThrowsAsync<ArgumentException>("ranges", () => _client.AcquireAsync("sim0", 3, default, options, Cancelled));
        await Assert.ThrowsAsync<ArgumentNullException>("options", () => _client.AcquireAsync("sim0", "left", null!, Cancelled));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _client.AcquireAsync("sim0", "left", options with { Access = (LeaseAccess)9 }, Cancelled));
        Assert.Empty(_broker.Requests);
    }

    [Fact]
    public async Task A_lease_is_what_the_broker_says_it_is()
    {
        _broker.OnAcquire = response =>
        {
            response.Lease.MemoryType = V1.MemoryType.WriteCombining;
            response.Lease.P2P = true;
            return Task.FromResult(response);
        };

        await using BarLease lease = await AcquireAsync();

        Assert.Equal((BarBroker.Client.MemoryType.WriteCombining, true), (lease.MemoryType, lease.P2P));
    }

    [Fact]
    public async Task One_watch_serves_all_leases()
    {
        Assert.Equal(0, _broker.Watches);
        await using BarLease first = await AcquireAsync();
        await using BarLease second = await AcquireAsync();
        Assert.Equal(1, _broker.Watches);
    }

    [Fact]
    public async Task No_lease_is_asked_for_when_its_end_would_not_be_heard_of()
    {
        _broker.Snapshot = () => throw FakeConnection.Failure(StatusCode.ResourceExhausted);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(AcquireAsync);
        Assert.Equal(StatusCode.ResourceExhausted, refused.StatusCode);
        Assert.Empty(_broker.Requests);

        _broker.Snapshot = () => [];
        await using BarLease lease = await AcquireAsync();
        Assert.Equal(2, _broker.Watches);
    }

    [Fact]
    public async Task A_refusal_is_the_brokers_own_exception()
    {
        _broker.OnAcquire = _ => throw FakeConnection.Failure(StatusCode.PermissionDenied);
        Assert.Equal(StatusCode.PermissionDenied, (await Assert.ThrowsAsync<RpcException>(AcquireAsync)).StatusCode);
        Assert.Equal(0, _broker.AcquiresUnderWay);
    }

    [Fact]
    public async Task A_cancelled_acquire_is_seen_through_and_released()
    {
        TaskCompletionSource answered = new();
        TaskCompletionSource<ulong> released = new();
        _broker.OnAcquire = async response =>
        {
            await answered.Task;
            return response;
        };
        _broker.OnRelease = id =>
        {
            released.SetResult(id);
            return Task.CompletedTask;
        };
        using CancellationTokenSource impatience = new();
        Task<BarLease> acquiring = _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, impatience.Token);

        await impatience.CancelAsync();
        OperationCanceledException exception = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => acquiring);
        Assert.Equal(impatience.Token, exception.CancellationToken);
        Assert.Equal(1, _broker.AcquiresUnderWay);
        Assert.Empty(_broker.Released);

        answered.SetResult();
        Assert.Equal(1UL, await released.Task.WaitAsync(Cancelled));
        Assert.Equal(0, _broker.AcquiresUnderWay);
    }

    [Fact]
    public async Task An_acquire_that_is_cancelled_before_it_begins_sends_nothing()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, new CancellationToken(true)));
        Assert.Empty(_broker.Requests);
    }

    [Fact]
    public async Task A_lease_whose_descriptor_was_lost_is_released()
    {
        _broker.OnClaim = _ => throw new DescriptorLostException("out of descriptors");
        await Assert.ThrowsAsync<DescriptorLostException>(AcquireAsync);
        Assert.Equal([1UL], _broker.Released);
    }

    [Fact]
    public async Task An_answer_that_cannot_be_right_is_an_internal_error_and_its_lease_released()
    {
        _broker.OnAcquire = response =>
        {
            response.Lease.Bar = 6;
            return Task.FromResult(response);
        };
        RpcException exception = await Assert.ThrowsAsync<RpcException>(AcquireAsync);
        Assert.Equal(StatusCode.Internal, exception.StatusCode);
        Assert.Contains("BAR 6", exception.Message, StringComparison.Ordinal);
        Assert.Equal([1UL], _broker.Released);
    }

    [Fact]
    public async Task Disposing_the_client_releases_every_lease_before_it_disconnects()
    {
        BarLease first = await AcquireAsync();
        BarLease second = await AcquireAsync();
        _broker.OnRelease = _ =>
        {
            Assert.False(_broker.IsDisposed);
            return Task.CompletedTask;
        };

        await _client.DisposeAsync();

        Assert.Equal([1UL, 2UL], _broker.Released.Order());
        Assert.True(_broker.IsDisposed);
        Assert.All([first, second], lease => Assert.Equal(LeaseEndReason.Released, lease.EndReason));
        Assert.True(_client.Closed.IsCancellationRequested);
    }

    [Fact]
    public async Task After_the_connection_nothing_can_be_acquired()
    {
        _broker.Close();
        RpcException exception = await Assert.ThrowsAsync<RpcException>(AcquireAsync);
        Assert.Equal(StatusCode.Unavailable, exception.StatusCode);
        Assert.Empty(_broker.Requests);
    }

    private Task<BarLease> AcquireAsync() => _client.AcquireAsync("sim0", "left", LeaseAccess.ReadWrite, Cancelled);
}
