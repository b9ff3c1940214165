using BarBroker.Devices;
using BarBroker.Leases;
using BarBroker.Transport;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class LeaseTableAcquireTests : LeaseTableTest
{
    [Fact]
    public async Task A_lease_has_what_was_asked_for_and_a_descriptor_on_its_way()
    {
        FakeConnection connection = new(id: 7, uid: 1001);

        AcquiredLease acquired = await AcquireAsync(connection, page: 3, pages: 2);

        Assert.Equal(1UL, acquired.Lease.Id.Value);
        Assert.Equal(RangeList.Of(Ranges.Of(0, 3, 2)), acquired.Lease.Ranges);
        Assert.Equal((LeaseState.Active, MemoryType.Uncached, 7UL), (acquired.Lease.State, acquired.Lease.MemoryType, acquired.Lease.ConnectionId));
        Assert.Equal(Time.GetUtcNow(), acquired.Lease.AcquireTime);
        Assert.Equal(0UL, acquired.DescriptorSerial);
        Assert.NotEqual(0UL, acquired.Inode);
        Assert.Equal(acquired.Lease, Assert.Single(List()));
    }

    [Fact]
    public async Task The_user_of_a_process_answers_for_what_its_leases_cost_the_device()
    {
        await AcquireAsync(new FakeConnection(1, uid: 1001), page: 0);
        await AcquireAsync(new FakeConnection(2, uid: 1002), page: 1);
        await AcquireAsync(new FakeConnection(3, uid: 1001), page: 2);

        Assert.Equal([1001U, 1002U, 1001U], Device.Exports.Select(export => export.Holder));
    }

    [Fact]
    public async Task Ids_go_up_from_1_and_are_not_used_twice_even_after_a_failure()
    {
        FakeConnection connection = new();
        Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));

        await RefusalAsync(connection);
        AcquiredLease second = await AcquireAsync(connection);
        await Table.ReleaseAsync(connection, second.Lease.Id);
        AcquiredLease third = await AcquireAsync(connection);

        Assert.Equal((2UL, 3UL), (second.Lease.Id.Value, third.Lease.Id.Value));
    }

    [Theory]
    [InlineData(true, true, false, false)]
    [InlineData(true, false, false, false)]
    [InlineData(false, true, false, false)]
    [InlineData(false, false, false, false)]
    [InlineData(true, true, true, false)]
    [InlineData(true, false, true, false)]
    [InlineData(false, true, true, false)]
    [InlineData(false, false, true, true)]
    public async Task Leases_overlap_only_where_both_are_shared_and_the_device_can(bool firstExclusive, bool secondExclusive, bool canOverlap, bool expected)
    {
        Device = new FakeBarDevice(canOverlap: canOverlap);
        await AcquireAsync(new FakeConnection(1), page: 4, pages: 4, firstExclusive);

        Task second = AcquireAsync(new FakeConnection(2), page: 7, pages: 2, secondExclusive);

        if (expected)
        {
            await second;
        }
        else
        {
            Assert.Equal(LeaseRefusal.RangeLeased, (await Assert.ThrowsAsync<LeaseRefusedException>(() => second)).Refusal);
        }
    }

    [Fact]
    public async Task Neighbours_and_other_BARs_are_no_conflict()
    {
        FakeConnection connection = new();

        await AcquireAsync(connection, page: 4, pages: 4);
        await AcquireAsync(connection, page: 8);
        await AcquireAsync(connection, page: 3);
        await Table.AcquireAsync(connection, Request(page: 4, bar: 2), CancellationToken.None);

        Assert.Equal(4, List().Length);
    }

    [Fact]
    public async Task The_message_of_a_conflict_names_the_holder_only_to_itself()
    {
        FakeConnection connection = new(1);
        await AcquireAsync(connection);

        LeaseRefusedException own = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(connection));
        LeaseRefusedException other = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(new FakeConnection(2)));

        Assert.Equal("BAR 0 0x0+0x1000 of device 'dev0' is taken, all or in part: this connection holds BAR 0 0x0+0x1000 as lease 1. Release that first.", own.Message);
        Assert.Equal("BAR 0 0x0+0x1000 of device 'dev0' is taken, all or in part: another lease holds it. Try again once it is released.", other.Message);
    }

    [Fact]
    public async Task A_range_is_taken_while_its_lease_is_still_being_made()
    {
        Device.ExportCalled.Close();
        Task<AcquiredLease> first = AcquireAsync(new FakeConnection(1));
        TaskCompletionSource export = await Device.ExportCalled.ArrivalAsync();

        Assert.Equal(LeaseRefusal.RangeLeased, await RefusalAsync(new FakeConnection(2)));

        export.SetResult();
        await first;
    }

    public static TheoryData<Exception, string> ExportFailures => new()
    {
        { new DeviceSuspendedException("dev0"), nameof(LeaseRefusal.DeviceSuspended) },
        { new DeviceGoneException("dev0"), nameof(LeaseRefusal.DeviceGone) },
        { new LeaseQuotaException("dev0", 1001), nameof(LeaseRefusal.TooManyLeases) },
        { new UnixException("export", 12), nameof(LeaseRefusal.KernelExhausted) },
        { new UnixException("export", 24), nameof(LeaseRefusal.KernelExhausted) },
    };

    [Theory]
    [MemberData(nameof(ExportFailures))]
    public async Task A_failed_export_frees_the_range_and_revokes_nothing(Exception failure, string expected)
    {
        Device.ExportFailures.Enqueue(failure);

        Assert.Equal(expected, (await RefusalAsync(new FakeConnection(1))).ToString());

        Assert.Empty(List());
        Assert.Empty(Device.Revokes);
        await AcquireAsync(new FakeConnection(2));
    }

    [Fact]
    public async Task A_kernel_error_without_a_meaning_of_its_own_is_passed_on()
    {
        Device.ExportFailures.Enqueue(new UnixException("export", 22));

        Assert.Equal(22, (await Assert.ThrowsAsync<UnixException>(() => AcquireAsync(new FakeConnection()))).Errno);
        Assert.Empty(List());
    }

    public static TheoryData<Exception, string> QueueFailures => new()
    {
        { new DescriptorBudgetException("too many"), nameof(LeaseRefusal.TooManyDescriptors) },
        { new IOException("closed"), nameof(LeaseRefusal.ConnectionEnded) },
    };

    [Theory]
    [MemberData(nameof(QueueFailures))]
    public async Task A_descriptor_that_can_not_be_sent_ends_the_lease_before_the_call_fails(Exception failure, string expected)
    {
        FakeConnection connection = new() { OnQueue = () => throw failure };

        Assert.Equal(expected, (await RefusalAsync(connection)).ToString());

        Assert.Equal([1UL], Device.Revokes.Single().Select(id => id.Value));
        Assert.Empty(Device.Reachable);
        Assert.Empty(List());
    }

    [Fact]
    public async Task A_caller_that_gives_up_during_the_export_gets_no_lease()
    {
        using CancellationTokenSource caller = new();
        FakeConnection connection = new();
        Device.ExportDone.Close();
        Task<AcquiredLease> acquire = Table.AcquireAsync(connection, Request(), caller.Token);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();

        await caller.CancelAsync();
        export.SetResult();

        await Assert.ThrowsAsync<OperationCanceledException>(() => acquire);
        Assert.Empty(Device.Reachable);
        Assert.Empty(List());
        Assert.Equal(0, connection.Queued);
    }

    public static TheoryData<string, string> EndsDuringExport => new()
    {
        { "close", nameof(LeaseRefusal.ConnectionEnded) },
        { "exit", nameof(LeaseRefusal.ConnectionEnded) },
        { "gone", nameof(LeaseRefusal.DeviceGone) },
        { "revoke", nameof(LeaseRefusal.Revoked) },
        { "shutdown", nameof(LeaseRefusal.ShuttingDown) },
    };

    [Theory]
    [MemberData(nameof(EndsDuringExport))]
    public async Task An_end_during_the_export_waits_for_it_and_revokes_after_it(string end, string expected)
    {
        FakeConnection connection = new();
        Device.ExportDone.Close();
        Task<AcquiredLease> acquire = AcquireAsync(connection);
        TaskCompletionSource export = await Device.ExportDone.ArrivalAsync();

        Task ending = EndAsync(end, connection);
        Assert.Empty(Device.Revokes);
        Assert.Equal(LeaseState.Ending, Assert.Single(List()).State);
        export.SetResult();

        Assert.Equal(expected, (await Assert.ThrowsAsync<LeaseRefusedException>(() => acquire)).Refusal.ToString());
        await ending;
        Assert.Empty(Device.Reachable);
        Assert.Empty(List());
        Assert.Equal(0, connection.Queued);
    }

    [Theory]
    [MemberData(nameof(EndsDuringExport))]
    public async Task An_end_while_the_descriptor_is_queued_ends_the_lease(string end, string expected)
    {
        FakeConnection connection = new();
        Task ending = Task.CompletedTask;
        connection.OnQueue = () => ending = EndAsync(end, connection);

        Assert.Equal(expected, (await RefusalAsync(connection)).ToString());

        await ending;
        Assert.Empty(Device.Reachable);
        Assert.Empty(List());
    }

    [Fact]
    public async Task An_end_during_an_export_that_fails_is_over_with_it()
    {
        FakeConnection connection = new();
        Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
        Device.ExportCalled.Close();
        Task<AcquiredLease> acquire = AcquireAsync(connection);
        TaskCompletionSource export = await Device.ExportCalled.ArrivalAsync();
        Task<EndResult> revoke = Table.RevokeAsync(_ => true);

        export.SetResult();

        await Assert.ThrowsAsync<LeaseRefusedException>(() => acquire);
        Assert.Equal([1UL], (await revoke).Ended.Select(id => id.Value));
        Assert.Empty(Device.Revokes);
    }

    [Fact]
    public async Task Nothing_is_leased_on_a_connection_that_is_over()
    {
        FakeConnection connection = new();
        connection.Close();

        Assert.Equal(LeaseRefusal.ConnectionEnded, await RefusalAsync(connection));
        Assert.Equal(LeaseRefusal.ConnectionEnded, await RefusalAsync(connection));
    }

    [Fact]
    public async Task Nothing_is_leased_of_a_device_that_is_gone_or_by_a_broker_that_stops()
    {
        Device.GoAway();
        Assert.Equal(LeaseRefusal.DeviceGone, await RefusalAsync(new FakeConnection(1)));

        await Table.ShutdownAsync();
        Assert.Equal(LeaseRefusal.ShuttingDown, await RefusalAsync(new FakeConnection(2)));
    }

    [Fact]
    public async Task Limits_hold_for_a_connection_a_user_and_all_and_a_release_makes_room()
    {
        Limits = new LeaseLimits { PerConnection = 2, PerUser = 3, Total = 4 };
        FakeConnection first = new(1, uid: 1);
        FakeConnection second = new(2, uid: 1);
        FakeConnection third = new(3, uid: 2);
        AcquiredLease lease = await AcquireAsync(first, page: 0);
        await AcquireAsync(first, page: 1);

        Assert.Equal(LeaseRefusal.TooManyLeases, await RefusalAsync(first, page: 2));
        await AcquireAsync(second, page: 2);
        Assert.Equal(LeaseRefusal.TooManyLeases, await RefusalAsync(second, page: 3));
        await AcquireAsync(third, page: 3);
        Assert.Equal(LeaseRefusal.TooManyLeases, await RefusalAsync(third, page: 4));

        await Table.ReleaseAsync(first, lease.Lease.Id);
        await AcquireAsync(first, page: 4);
    }

    private Task EndAsync(string how, FakeConnection connection)
    {
        switch (how)
        {
            case "close":
                connection.Close();
                return Task.CompletedTask;
            case "exit":
                connection.Exit();
                return Task.CompletedTask;
            case "gone":
                Device.GoAway();
                return Task.CompletedTask;
            case "revoke":
                return Table.RevokeAsync(_ => true);
            default:
                return Table.ShutdownAsync();
        }
    }
}
