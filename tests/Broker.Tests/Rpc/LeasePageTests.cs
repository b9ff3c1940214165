using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Rpc.Services;
using BarBroker.Tests.Leases;
using BarBroker.Transport.Counting;
using BarBroker.V1;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using MemoryType = BarBroker.Devices.MemoryType;

namespace BarBroker.Tests.Rpc;

/// <summary>ListLeases in pages: one user can have more leases than one answer takes.</summary>
public sealed class LeasePageTests : ServiceTest
{
    [Fact]
    public async Task A_page_has_the_size_that_is_asked_for()
    {
        ulong[] all = [(await AcquireAsync(Window())).Lease.LeaseId, (await AcquireAsync(Window("pair"))).Lease.LeaseId, (await AcquireAsync(Window("frames"))).Lease.LeaseId];

        ListLeasesResponse first = await ListAsync(new ListLeasesRequest { PageSize = 2 });
        ListLeasesResponse second = await ListAsync(new ListLeasesRequest { PageSize = 2, PageToken = first.NextPageToken });

        Assert.Equal(all[..2], first.Leases.Select(held => held.Lease.LeaseId));
        Assert.Equal((all[2], ""), (Assert.Single(second.Leases).Lease.LeaseId, second.NextPageToken));
        Assert.Empty((await ListAsync(new ListLeasesRequest { PageSize = 3 })).NextPageToken);
        await FailsAsync(StatusCode.InvalidArgument, "PAGE_SIZE_INVALID", () => ListAsync(new ListLeasesRequest { PageSize = -1 }));
        await FailsAsync(StatusCode.InvalidArgument, "PAGE_TOKEN_INVALID", () => ListAsync(new ListLeasesRequest { PageToken = "next" }));
    }

    [Fact]
    public async Task No_answer_is_larger_than_clients_take()
    {
        await using FakeBarDevice device = new("dev0", canOverlap: true);
        LeaseTable table = new([device], new LeaseLimits { PerConnection = 4096 }, TimeProvider.System, NullLogger<LeaseTable>.Instance);
        RangeList ranges = Ranges.List([.. Enumerable.Range(0, 64).Select(i => Ranges.Of(0, 2 * (ulong)i, 1))]);
        ExportOptions options = new(LeaseAccess.ReadWrite, MemoryType.Uncached);
        for (int i = 0; i < 3000; i++)
        {
            await table.AcquireAsync(Alice, new LeaseRequest(device, null, ranges, options, Exclusive: false), CancellationToken.None);
        }

        ServiceCalls admin = new(new AdminService(Served, table, new WireCounters(), NullLogger<AdminService>.Instance));
        List<ulong> ids = [];
        ListLeasesRequest request = new();
        do
        {
            ListLeasesResponse page = await admin.CallAsync<ListLeasesRequest, ListLeasesResponse>("ListLeases", request, Root);
            Assert.InRange(page.CalculateSize(), 1, 1024 * 1024);
            ids.AddRange(page.Leases.Select(held => held.Lease.LeaseId));
            request = new ListLeasesRequest { PageToken = page.NextPageToken };
        }
        while (request.PageToken.Length > 0);

        Assert.Equal(Enumerable.Range(1, 3000).Select(i => (ulong)i), ids);
        await table.ShutdownAsync();
    }

    private Task<ListLeasesResponse> ListAsync(ListLeasesRequest request) => Admin.CallAsync<ListLeasesRequest, ListLeasesResponse>("ListLeases", request, Root);
}
