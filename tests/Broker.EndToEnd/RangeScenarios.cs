using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>Leases of several ranges, and how the CPU's page table has a lease.</summary>
public sealed class RangeScenarios(Machine machine)
{
    private const ulong FirstPage = Machine.AreaOffset / Machine.Page;

    [Fact]
    public async Task A_window_of_several_ranges_is_one_space_in_the_policys_order()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease pair = await alice.AcquireAsync("pair");
        Assert.Equal([new ProbeRange(0x62000, 0x2000), new ProbeRange(0x60000, 0x1000)], pair.Properties.Ranges);
        Assert.Equal((0x62000UL, 0x3000UL), (pair.Properties.Offset, pair.Properties.Length));

        await pair.MapAsync();
        ulong[] pages = [await PageAsync(pair, 0), await PageAsync(pair, 1), await PageAsync(pair, 2)];
        Assert.Equal([0x62UL, 0x63UL, 0x60UL], pages);
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task Several_ranges_of_the_clients_choice_are_leased_all_or_none()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease taken = await bob.AcquireRangeAsync(Machine.AreaOffset + (6 * Machine.Page), Machine.Page);

        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => alice.AcquireRangesAsync(Page(4), Page(2), Page(6)));
        Assert.Equal(("FailedPrecondition", "RANGE_LEASED"), (refused.Error.Status, refused.Error.Reason));
        await taken.ReleaseAsync();

        // Nothing of the refused lease is left, and what lies between the ranges stays free.
        ClientLease lease = await alice.AcquireRangesAsync(Page(4), Page(2), Page(6));
        ClientLease between = await bob.AcquireRangeAsync(Machine.AreaOffset + (5 * Machine.Page), Machine.Page);
        await lease.MapAsync();
        await between.MapAsync();
        ulong[] pages = [await PageAsync(lease, 0), await PageAsync(lease, 1), await PageAsync(lease, 2)];
        Assert.Equal([FirstPage + 4, FirstPage + 2, FirstPage + 6], pages);
        Assert.Equal(FirstPage + 5, await PageAsync(between, 0));
    }

    [Fact]
    public async Task A_revoke_ends_every_range_of_a_lease()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await alice.AcquireRangesAsync(Page(8), Page(0), Page(4));
        await lease.MapAsync();
        await PageAsync(lease, 2);

        await Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{lease.Properties.Id}}"}""");

        for (ulong page = 0; page < 3; page++)
        {
            ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => PageAsync(lease, page));
            Assert.Equal("LeaseRevokedException", revoked.Error.Type);
        }

        ClientLease all = await alice.AcquireRangeAsync(Machine.AreaOffset, 9 * Machine.Page);
        await all.MapAsync();
        Assert.Equal(FirstPage + 8, await PageAsync(all, 8));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_lease_may_have_64_ranges()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ulong[] numbers = [.. Enumerable.Range(0, 64).Select(i => 126 - (2 * (ulong)i))];

        ClientLease lease = await alice.AcquireRangesAsync([.. numbers.Select(Page)]);

        await lease.MapAsync();
        Assert.Equal(64, await lease.CountIdentifiedPagesAsync());
        Assert.Equal((FirstPage + 126, FirstPage), (await PageAsync(lease, 0), await PageAsync(lease, 63)));
    }

    [Fact]
    public async Task A_lease_has_the_memory_type_that_its_grant_says()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease frames = await alice.AcquireAsync("frames");
        Assert.Equal(Machine.IsReal ? "WriteCombining" : "Cached", frames.Properties.MemoryType);

        await frames.MapAsync();
        await frames.WriteAndFlushAsync(0x1100, 0x0c0b1e5d);
        Assert.Equal(0x0c0b1e5dUL, await frames.ReadAsync(0x1100));
        Assert.Equal(0x69UL, await PageAsync(frames, 1));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_large_window_is_mapped_in_steps_of_2_MiB()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease all = await alice.AcquireAsync("all");
        await all.MapAsync();
        LeaseSessionInfo before = LeaseSessionInfo.Of(machine.Broker);

        Assert.Equal(16384, await all.CountIdentifiedPagesAsync());

        LeaseSessionInfo after = LeaseSessionInfo.Of(machine.Broker);
        Assert.Equal((32UL, 32UL), (after.Faults - before.Faults, after.HugeFaults - before.HugeFaults));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task Ranges_that_start_anywhere_are_placed_for_as_many_steps_of_2_MiB_as_possible()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease banks = await alice.AcquireAsync("banks");
        await banks.MapAsync();
        LeaseSessionInfo before = LeaseSessionInfo.Of(machine.Broker);

        Assert.Equal(10 << 8, await banks.CountIdentifiedPagesAsync());
        ulong[] firstPages = [await PageAsync(banks, 0), await PageAsync(banks, 1 << 8), await PageAsync(banks, 5 << 8), await PageAsync(banks, 8 << 8)];
        Assert.Equal([33UL << 8, 16UL << 8, 36UL << 8, 42UL << 8], firstPages);

        // Of 1 MiB none, of 4 MiB two, of 3 MiB one and a rest of 1 MiB, and none of 2 MiB whose place in the lease can't agree with the others'.
        LeaseSessionInfo after = LeaseSessionInfo.Of(machine.Broker);
        Assert.Equal((3UL, 3UL + 256 + 256 + 512), (after.HugeFaults - before.HugeFaults, after.Faults - before.Faults));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task Two_clients_share_pages_and_lose_them_one_by_one()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease hers = await alice.AcquireAsync("common");
        ClientLease his = await bob.AcquireAsync("common");
        Assert.Equal((false, false), (hers.Properties.Exclusive, his.Properties.Exclusive));
        await hers.MapAsync();
        await his.MapAsync();
        await hers.WriteAsync(0x1200, 0x11111111);
        Assert.Equal(0x11111111UL, await his.ReadAsync(0x1200));
        await his.WriteAsync(0x1200, 0x22222222);
        Assert.Equal(0x22222222UL, await hers.ReadAsync(0x1200));

        await Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{hers.Properties.Id}}"}""");

        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => hers.ReadAsync(0x1200));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
        Assert.Equal(0x22222222UL, await his.ReadAsync(0x1200));
        await his.WriteAsync(0x1200, 0x33333333);

        ClientLease again = await alice.AcquireAsync("common");
        await again.MapAsync();
        Assert.Equal(0x33333333UL, await again.ReadAsync(0x1200));
        await Assert.ThrowsAsync<ProbeException>(() => hers.ReadAsync(0x1200));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task Shared_pages_are_of_one_memory_type()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease common = await alice.AcquireAsync("common");

        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => bob.AcquireAsync("common-frames"));
        Assert.Equal(("FailedPrecondition", "RANGE_LEASED"), (refused.Error.Status, refused.Error.Reason));
        Assert.Contains("memory type", refused.Error.Message, StringComparison.Ordinal);

        await common.ReleaseAsync();
        ClientLease frames = await bob.AcquireAsync("common-frames");
        Assert.Equal("WriteCombining", frames.Properties.MemoryType);
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_peer_to_peer_lease_takes_a_grant_that_says_so()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);

        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => alice.AcquireAsync("left", p2p: true));

        Assert.Equal(("PermissionDenied", "P2P_NOT_GRANTED"), (refused.Error.Status, refused.Error.Reason));
        Assert.False((await alice.AcquireAsync("left")).Properties.P2P);
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task A_peer_to_peer_lease_is_used_and_revoked_as_any_other()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease ordinary = await alice.AcquireAsync("peer");
        Assert.False(ordinary.Properties.P2P);
        await ordinary.ReleaseAsync();

        ClientLease peer = await alice.AcquireAsync("peer", p2p: true);
        Assert.True(peer.Properties.P2P);
        await peer.MapAsync();
        Assert.Equal(0x70UL, await PageAsync(peer, 0));
        await Buf.CallAsync(machine.Broker.AdminSocket, "barbroker.v1.Admin/Revoke", $$"""{"leaseId": "{{peer.Properties.Id}}"}""");

        ProbeException revoked = await Assert.ThrowsAsync<ProbeException>(() => PageAsync(peer, 0));
        Assert.Equal("LeaseRevokedException", revoked.Error.Type);
    }

    private static (ulong Offset, ulong Length) Page(ulong number) => (Machine.AreaOffset + (number * Machine.Page), Machine.Page);

    private static Task<ulong> PageAsync(ClientLease lease, ulong page) => lease.ReadAsync((page * Machine.Page) + Machine.PageNumberRegister);
}
