using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Transport;
using BarBroker.Unix;
using BarBroker.V1;
using Xunit;
using MemoryType = BarBroker.V1.MemoryType;

namespace BarBroker.Tests.Rpc;

public sealed class BrokerServiceTests : ServiceTest
{
    [Fact]
    public async Task A_window_is_leased_as_the_policy_grants_it()
    {
        AcquireResponse response = await AcquireAsync(Window(access: Access.ReadWrite));

        Lease expected = new()
        {
            LeaseId = 1,
            Device = "dev0",
            Window = "left",
            Bar = 0,
            Ranges = { new V1.Range { Offset = 0, Length = 0x10000 } },
            Access = Access.ReadWrite,
            Exclusive = true,
            MemoryType = MemoryType.Uncached,
        };
        Assert.Equal(expected, response.Lease);
        Assert.Equal(0UL, response.InBand.FdSerial);
        Assert.NotEqual(0UL, response.InBand.Inode);
    }

    [Fact]
    public async Task A_range_of_the_callers_choice_is_leased_inside_an_area()
    {
        AcquireResponse response = await AcquireAsync(Range(0x90000, 0x2000));

        Assert.Equal("", response.Lease.Window);
        Assert.Equal((2U, Access.ReadOnly, true), (response.Lease.Bar, response.Lease.Access, response.Lease.Exclusive));
        Assert.Equal(new V1.Range { Offset = 0x90000, Length = 0x2000 }, Assert.Single(response.Lease.Ranges));
    }

    [Fact]
    public async Task A_window_of_several_ranges_is_leased_in_their_order_with_the_grants_memory_type()
    {
        AcquireResponse response = await AcquireAsync(Window("pair", access: Access.ReadWrite));

        Assert.Equal([(0x50000UL, 0x1000UL), (0x40000UL, 0x2000UL)], response.Lease.Ranges.Select(range => (range.Offset, range.Length)));
        Assert.Equal((MemoryType.WriteCombining, false), (response.Lease.MemoryType, response.Lease.P2P));
        HeldLease held = Assert.Single((await Admin.CallAsync<ListLeasesRequest, ListLeasesResponse>("ListLeases", new ListLeasesRequest(), Root)).Leases);
        Assert.Equal(response.Lease, held.Lease);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(64)]
    public async Task Several_ranges_of_the_callers_choice_are_leased_in_its_order(int count)
    {
        ulong[] offsets = [.. Enumerable.Range(0, count).Select(i => 0x90000 + (0x1000 * (ulong)(count - i)))];

        AcquireResponse response = await AcquireAsync(Ranges(offsets));

        Assert.Equal(offsets, response.Lease.Ranges.Select(range => range.Offset));
        Assert.Equal(MemoryType.Uncached, response.Lease.MemoryType);
    }

    [Fact]
    public async Task More_ranges_than_the_device_takes_are_refused_by_their_number()
    {
        Device.MaxRanges = 1;

        string message = await FailsAsync(StatusCode.InvalidArgument, "RANGE_COUNT", () => AcquireAsync(Ranges(0x90000, 0x92000)));
        await AcquireAsync(Ranges(0x90000));

        Assert.Equal("The request has 2 ranges; device 'dev0' has leases of at most 1 here.", message);
    }

    [Fact]
    public async Task A_peer_to_peer_lease_is_one_where_the_grant_and_the_request_say_so()
    {
        Assert.False((await AcquireAsync(Range(0x90000, 0x1000))).Lease.P2P);
        AcquireResponse response = await AcquireAsync(WithP2P(Window("frames"), Access.ReadWrite));

        Assert.Equal((MemoryType.WriteCombining, true), (response.Lease.MemoryType, response.Lease.P2P));
        Assert.Equal(new ExportOptions(LeaseAccess.ReadWrite, BarBroker.Devices.MemoryType.WriteCombining, P2P: true), Device.Exports.Last().Options);
    }

    public static TheoryData<string, StatusCode, string, string> BadRequests => new()
    {
        { "no access", StatusCode.InvalidArgument, "ACCESS_MISSING", "ACCESS_READ_ONLY or ACCESS_READ_WRITE" },
        { "an access of the future", StatusCode.InvalidArgument, "ACCESS_MISSING", "7 is no access" },
        { "no target", StatusCode.InvalidArgument, "TARGET_MISSING", "Set window" },
        { "an empty window", StatusCode.InvalidArgument, "TARGET_MISSING", "Set window" },
        { "no range", StatusCode.InvalidArgument, "RANGE_COUNT", "has 0 ranges; a lease has 1 to 64" },
        { "65 ranges", StatusCode.InvalidArgument, "RANGE_COUNT", "has 65 ranges; a lease has 1 to 64" },
        { "a range twice", StatusCode.InvalidArgument, "RANGES_OVERLAP", "BAR 2 0x90000+0x1000 overlaps BAR 2 0x90000+0x1000" },
        { "one bad range of several", StatusCode.InvalidArgument, "RANGE_UNALIGNED", "Offset 0x90004" },
        { "peer-to-peer and read-only", StatusCode.InvalidArgument, "P2P_READ_ONLY", "Set access to ACCESS_READ_WRITE" },
        { "peer-to-peer of two ranges", StatusCode.InvalidArgument, "P2P_RANGES", "The request has 2 ranges; a peer-to-peer lease has one" },
        { "peer-to-peer of a window of two ranges", StatusCode.InvalidArgument, "P2P_RANGES", "Window 'pair' of device 'dev0' has 2 ranges" },
        { "peer-to-peer where it is not granted", StatusCode.PermissionDenied, "P2P_NOT_GRANTED", "but not for peer-to-peer leases. Leave p2p unset" },
        { "BAR 6", StatusCode.InvalidArgument, "BAR_INVALID", "BAR 6" },
        { "no length", StatusCode.InvalidArgument, "RANGE_EMPTY", "0x1000" },
        { "an odd offset", StatusCode.InvalidArgument, "RANGE_UNALIGNED", "around it are offset 0x80000, length 0x2000" },
        { "a wrap-around", StatusCode.InvalidArgument, "RANGE_OVERFLOW", "more than 64 bits" },
        { "no delivery", StatusCode.FailedPrecondition, "DELIVERY_MISSING", "set delivery to DELIVERY_TICKET" },
        { "a ticket", StatusCode.Unimplemented, "DELIVERY_UNSUPPORTED", "DELIVERY_TICKET" },
        { "a delivery of the future", StatusCode.Unimplemented, "DELIVERY_UNSUPPORTED", "can't deliver with 9" },
        { "an unknown device", StatusCode.NotFound, "DEVICE_UNKNOWN", "no device \"nowhere\"" },
        { "an unknown window", StatusCode.NotFound, "WINDOW_UNKNOWN", "no window \"nowhere\"" },
        { "a window of others", StatusCode.PermissionDenied, "NOT_GRANTED", "is not granted to uid 1000" },
        { "more access than granted", StatusCode.PermissionDenied, "ACCESS_NOT_GRANTED", "Ask for ACCESS_READ_ONLY" },
        { "a range outside of areas", StatusCode.PermissionDenied, "NOT_GRANTED", "is not granted to uid 1000" },
        { "a BAR that is not there", StatusCode.NotFound, "BAR_UNKNOWN", "no BAR 5: those that can be mapped are 0, 2" },
        { "a range past the BAR", StatusCode.OutOfRange, "RANGE_BEYOND_BAR", "beyond the BAR's size, 0x100000" },
        { "a range of several past the BAR", StatusCode.OutOfRange, "RANGE_BEYOND_BAR", "0x100000+0x1000 ends at 0x101000" },
        { "a range of several on the MSI-X table", StatusCode.PermissionDenied, "RANGE_ON_MSIX", "end before 0x80000 or begin at 0x81000" },
        { "the MSI-X table", StatusCode.PermissionDenied, "RANGE_ON_MSIX", "end before 0x80000 or begin at 0x81000" },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public async Task A_bad_request_fails_with_its_documented_status_and_a_cure(string kind, StatusCode code, string reason, string message)
    {
        AcquireRequest request = kind switch
        {
            "no access" => Window(access: Access.Unspecified),
            "an access of the future" => Window(access: (Access)7),
            "no target" => new AcquireRequest { Device = "dev0", Access = Access.ReadOnly, Delivery = Delivery.InBand },
            "an empty window" => Window(""),
            "no range" => WithRanges(Range(0, 0), 0),
            "65 ranges" => WithRanges(Range(0x90000, 0x1000), 65),
            "a range twice" => WithRanges(Range(0x90000, 0x1000), 2),
            "one bad range of several" => Ranges(0x90000, 0x90004),
            "peer-to-peer and read-only" => WithP2P(Window("frames")),
            "peer-to-peer of two ranges" => WithP2P(Ranges(0x90000, 0x92000), Access.ReadWrite),
            "peer-to-peer of a window of two ranges" => WithP2P(Window("pair"), Access.ReadWrite),
            "peer-to-peer where it is not granted" => WithP2P(Window("left"), Access.ReadWrite),
            "a range of several past the BAR" => Ranges(0x90000, 0x10_0000),
            "a range of several on the MSI-X table" => Ranges(0x90000, 0x80000),
            "BAR 6" => Range(0, 0x1000, bar: 6),
            "no length" => Range(0x80000, 0),
            "an odd offset" => Range(0x80004, 0x1000),
            "a wrap-around" => Range(0xffff_ffff_ffff_f000, 0x2000),
            "no delivery" => WithDelivery(Delivery.Unspecified),
            "a ticket" => WithDelivery(Delivery.Ticket),
            "a delivery of the future" => WithDelivery((Delivery)9),
            "an unknown device" => Window(device: "nowhere"),
            "an unknown window" => Window("nowhere"),
            "a window of others" => Window("vault"),
            "more access than granted" => Window("dials", access: Access.ReadWrite),
            "a range outside of areas" => Range(0x70000, 0x1000),
            "a BAR that is not there" => Range(0, 0x1000, bar: 5),
            "a range past the BAR" => Range(0xff000, 0x2000),
            "the MSI-X table" => Range(0x80000, 0x1000),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };

        Assert.Contains(message, await FailsAsync(code, reason, () => AcquireAsync(request)), StringComparison.Ordinal);
        Assert.Empty(Table.List(_ => true));
    }

    [Fact]
    public async Task A_peer_without_grants_learns_nothing_of_what_exists()
    {
        string ofOthers = await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => AcquireAsync(Window("vault"), Mallory));
        string invented = await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => AcquireAsync(Window("vault2"), Mallory));
        Assert.Equal(ofOthers, invented.Replace("vault2", "vault", StringComparison.Ordinal));

        await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => AcquireAsync(Range(0x90000, 0x1000), Mallory));
        await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => AcquireAsync(Range(0x7000_0000, 0x1000), Mallory));
        await FailsAsync(StatusCode.PermissionDenied, "NOT_GRANTED", () => AcquireAsync(Range(0, 0x1000, bar: 5), Mallory));
    }

    [Fact]
    public async Task Names_come_back_without_control_characters_and_shortened()
    {
        string message = await FailsAsync(StatusCode.NotFound, "DEVICE_UNKNOWN", () => AcquireAsync(Window(device: "a\u001b[2J\n" + new string('b', 1000))));

        Assert.DoesNotContain(message, char.IsControl);
        Assert.InRange(message.Length, 0, 300);
    }

    [Theory]
    [InlineData("dials", "TOO_MANY_LEASES")]
    [InlineData("left", "TOO_MANY_BYTES")]
    public async Task Nobody_has_more_than_the_grant_allows_at_a_time(string window, string reason)
    {
        ulong id = (await AcquireAsync(Window(window), Bob)).Lease.LeaseId;

        await FailsAsync(StatusCode.ResourceExhausted, reason, () => AcquireAsync(Window(window), Bob));

        await ReleaseAsync(id, Bob);
        await AcquireAsync(Window(window), Bob);
    }

    public static TheoryData<string, StatusCode, string> Refusals => new()
    {
        { "taken", StatusCode.FailedPrecondition, "RANGE_LEASED" },
        { "too many leases", StatusCode.ResourceExhausted, "TOO_MANY_LEASES" },
        { "too many descriptors", StatusCode.ResourceExhausted, "TOO_MANY_DESCRIPTORS" },
        { "out of memory", StatusCode.ResourceExhausted, "KERNEL_EXHAUSTED" },
        { "suspended", StatusCode.Unavailable, "DEVICE_SUSPENDED" },
        { "gone", StatusCode.Unavailable, "DEVICE_GONE" },
        { "shutdown", StatusCode.Unavailable, "SHUTTING_DOWN" },
        { "closed", StatusCode.Cancelled, "CONNECTION_ENDED" },
        { "revoked meanwhile", StatusCode.Aborted, "LEASE_REVOKED" },
        { "no such memory", StatusCode.FailedPrecondition, "MEMORY_TYPE_UNAVAILABLE" },
        { "kernel", StatusCode.Internal, "EXPORT_FAILED" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_lease_that_can_not_be_had_fails_with_its_documented_status(string kind, StatusCode code, string reason)
    {
        Task ending = Task.CompletedTask;
        switch (kind)
        {
            case "taken":
                await AcquireAsync(Window());
                break;
            case "too many leases":
                await AcquireAsync(Range(0x90000, 0x1000));
                await AcquireAsync(Range(0x91000, 0x1000));
                await AcquireAsync(Range(0x92000, 0x1000));
                break;
            case "too many descriptors":
                Alice.OnQueue = () => throw new DescriptorBudgetException("Too many descriptors are on their way. Take some first.");
                break;
            case "out of memory":
                Device.ExportFailures.Enqueue(new UnixException("export", 12));
                break;
            case "suspended":
                Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
                break;
            case "gone":
                Device.GoAway();
                break;
            case "shutdown":
                await Table.ShutdownAsync();
                break;
            case "closed":
                Alice.Close();
                break;
            case "revoked meanwhile":
                Alice.OnQueue = () => ending = RevokeAsync(new RevokeRequest { All = true });
                break;
            case "no such memory":
                Device.ExportFailures.Enqueue(new MemoryTypeUnavailableException("dev0", "there is none."));
                break;
            case "kernel":
                Device.ExportFailures.Enqueue(new UnixException("export", 22));
                break;
        }

        await FailsAsync(code, reason, () => AcquireAsync(Window()));
        await ending;
    }

    [Fact]
    public async Task ListDevices_tells_what_is_granted_to_the_caller_and_nothing_else()
    {
        ListDevicesResponse own = await Broker.CallAsync<ListDevicesRequest, ListDevicesResponse>("ListDevices", new ListDevicesRequest(), Alice);
        ListDevicesResponse none = await Broker.CallAsync<ListDevicesRequest, ListDevicesResponse>("ListDevices", new ListDevicesRequest(), Mallory);

        GrantedDevice device = Assert.Single(own.Devices);
        Assert.Equal(
            [
                ("left", Access.ReadWrite, true, MemoryType.Uncached, false),
                ("dials", Access.ReadOnly, false, MemoryType.Uncached, false),
                ("pair", Access.ReadWrite, true, MemoryType.WriteCombining, false),
                ("frames", Access.ReadWrite, true, MemoryType.WriteCombining, true),
            ],
            device.Windows.Select(window => (window.Window, window.Access, window.Exclusive, window.MemoryType, window.P2P)));
        Assert.Equal([(0x50000UL, 0x1000UL), (0x40000UL, 0x2000UL)], device.Windows[2].Ranges.Select(range => (range.Offset, range.Length)));
        GrantedArea area = Assert.Single(device.Areas);
        Assert.Equal((2U, 0x80000UL, 0x80000UL, Access.ReadOnly, true), (area.Bar, area.Range.Offset, area.Range.Length, area.Access, area.Exclusive));
        Assert.Empty(none.Devices);
    }

    [Fact]
    public async Task ListDevices_promises_no_memory_type_that_can_not_be_had()
    {
        Device.CanCombineWrites = false;

        ListDevicesResponse own = await Broker.CallAsync<ListDevicesRequest, ListDevicesResponse>("ListDevices", new ListDevicesRequest(), Alice);

        Assert.Equal(
            [MemoryType.Uncached, MemoryType.Uncached, MemoryType.Unspecified, MemoryType.Unspecified],
            Assert.Single(own.Devices).Windows.Select(window => window.MemoryType));
    }

    [Fact]
    public async Task Release_ends_the_callers_lease_once()
    {
        AcquireResponse response = await AcquireAsync(Window());

        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => ReleaseAsync(response.Lease.LeaseId, Mallory));
        await ReleaseAsync(response.Lease.LeaseId);
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => ReleaseAsync(response.Lease.LeaseId));
        await FailsAsync(StatusCode.NotFound, "LEASE_UNKNOWN", () => ReleaseAsync(0));
    }

    [Fact]
    public async Task A_release_that_the_kernel_does_not_confirm_fails_and_can_be_repeated()
    {
        AcquireResponse response = await AcquireAsync(Window());
        Device.RevokeFails = _ => true;
        await FailsAsync(StatusCode.Internal, "REVOKE_UNCONFIRMED", () => ReleaseAsync(response.Lease.LeaseId));
        await FailsAsync(StatusCode.FailedPrecondition, "RANGE_LEASED", () => AcquireAsync(Window()));

        Device.RevokeFails = _ => false;
        await ReleaseAsync(response.Lease.LeaseId);
        await AcquireAsync(Window());
    }

    [Fact]
    public async Task Watch_sends_headers_a_snapshot_and_numbered_events_until_shutdown()
    {
        AcquireResponse first = await AcquireAsync(Window());
        AcquireResponse second = await AcquireAsync(Range(0x90000, 0x1000));
        ServiceCalls.ServerStream<WatchEvent> watch = Watch();

        Assert.True(watch.HeadersSent);
        WatchEvent snapshot = await watch.NextAsync();
        Assert.Equal(1UL, snapshot.Sequence);
        Assert.Equal([first.Lease, second.Lease], snapshot.Snapshot.Leases);

        await RevokeAsync(new RevokeRequest { LeaseId = first.Lease.LeaseId });
        WatchEvent revoked = await watch.NextAsync();
        Assert.Equal((2UL, first.Lease.LeaseId, EndReason.Revoked), (revoked.Sequence, revoked.LeaseEnded.LeaseId, revoked.LeaseEnded.Reason));
        Assert.Equal("An administrator revoked the lease.", revoked.LeaseEnded.Message);

        await Table.ShutdownAsync();
        WatchEvent shutdown = await watch.NextAsync();
        Assert.Equal((3UL, second.Lease.LeaseId, EndReason.Shutdown), (shutdown.Sequence, shutdown.LeaseEnded.LeaseId, shutdown.LeaseEnded.Reason));
        await FailsAsync(StatusCode.Unavailable, "SHUTTING_DOWN", () => watch.Completion);
    }

    [Fact]
    public async Task A_second_watch_is_refused_until_the_first_is_cancelled()
    {
        using CancellationTokenSource caller = new();
        ServiceCalls.ServerStream<WatchEvent> first = Watch(caller.Token);

        await FailsAsync(StatusCode.FailedPrecondition, "WATCH_EXISTS", () => Watch().Completion);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.Completion);

        Assert.NotNull((await Watch().NextAsync()).Snapshot);
    }

    private ServiceCalls.ServerStream<WatchEvent> Watch(CancellationToken? cancellationToken = null)
        => Broker.Stream<WatchRequest, WatchEvent>("Watch", new WatchRequest(), Alice, cancellationToken ?? TestContext.Current.CancellationToken);

    private static AcquireRequest WithRanges(AcquireRequest request, int count)
    {
        V1.Range range = request.Ranges.Ranges[0];
        request.Ranges.Ranges.Clear();
        request.Ranges.Ranges.AddRange(Enumerable.Repeat(range, count));
        return request;
    }

    private static AcquireRequest Ranges(params ulong[] offsets)
    {
        AcquireRequest request = Range(0, 0);
        request.Ranges.Ranges.Clear();
        request.Ranges.Ranges.AddRange(offsets.Select(offset => new V1.Range { Offset = offset, Length = 0x1000 }));
        return request;
    }

    private static AcquireRequest WithP2P(AcquireRequest request, Access access = Access.ReadOnly)
    {
        request.P2P = true;
        request.Access = access;
        return request;
    }

    private static AcquireRequest WithDelivery(Delivery delivery)
    {
        AcquireRequest request = Window();
        request.Delivery = delivery;
        return request;
    }
}
