using BarBroker.Devices;
using BarBroker.Leases;
using Xunit;

namespace BarBroker.Tests.Leases;

public sealed class LeaseQuotaTests : LeaseTableTest
{
    private static readonly LeaseQuota TwoLeases = new("grants[0]", MaxLeases: 2, MaxBytes: null);
    private static readonly LeaseQuota ThreePages = new("grants[1]", MaxLeases: null, MaxBytes: 3 * BarRange.PageSize);

    private readonly FakeConnection _first = new(1, uid: 1001);
    private readonly FakeConnection _second = new(2, uid: 1001);

    [Fact]
    public async Task A_user_has_as_many_leases_as_the_grant_says_on_all_connections_together()
    {
        await TakeAsync(_first, TwoLeases, page: 0);
        await TakeAsync(_second, TwoLeases, page: 1);

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => TakeAsync(_first, TwoLeases, page: 2));

        Assert.Equal(LeaseRefusal.TooManyLeases, refused.Refusal);
        Assert.Contains("uid 1001 have 2 leases of what this grant allows, and 2 is the most", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_user_has_as_many_bytes_as_the_grant_says()
    {
        await TakeAsync(_first, ThreePages, page: 0, pages: 1);

        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => TakeAsync(_second, ThreePages, page: 4, pages: 3));
        await TakeAsync(_second, ThreePages, page: 4, pages: 2);

        Assert.Equal(LeaseRefusal.TooManyBytes, refused.Refusal);
        Assert.Contains("have 0x1000 bytes of what this grant allows; 0x3000 more are beyond the most, 0x3000", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Other_users_and_other_grants_are_counted_apart()
    {
        await TakeAsync(_first, TwoLeases, page: 0);
        await TakeAsync(_first, TwoLeases, page: 1);

        await TakeAsync(new FakeConnection(3, uid: 1002), TwoLeases, page: 2);
        await TakeAsync(_first, ThreePages, page: 3);
        await AcquireAsync(_first, page: 4);
    }

    [Fact]
    public async Task What_is_given_back_can_be_taken_again()
    {
        await TakeAsync(_first, TwoLeases, page: 0);
        for (int i = 0; i < 3; i++)
        {
            AcquiredLease lease = await TakeAsync(_first, TwoLeases, page: 1);
            await Assert.ThrowsAsync<LeaseRefusedException>(() => TakeAsync(_second, TwoLeases, page: 2));
            await Table.ReleaseAsync(_first, lease.Lease.Id);
        }
    }

    [Fact]
    public async Task What_could_not_be_made_does_not_count()
    {
        for (int i = 0; i < 3; i++)
        {
            Device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
            await Assert.ThrowsAsync<LeaseRefusedException>(() => TakeAsync(_first, TwoLeases, page: 0));
        }

        await TakeAsync(_first, TwoLeases, page: 0);
        await TakeAsync(_first, TwoLeases, page: 1);
    }

    private Task<AcquiredLease> TakeAsync(FakeConnection connection, LeaseQuota quota, ulong page, ulong pages = 1)
        => Table.AcquireAsync(connection, Request(page, pages) with { Quota = quota }, CancellationToken.None);
}
