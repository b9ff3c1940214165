using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Leases;

/// <summary>A table with one device, for the tests of its parts.</summary>
public abstract class LeaseTableTest : IAsyncLifetime
{
    internal FakeBarDevice Device { get; set; } = new();

    internal FakeTimeProvider Time { get; } = new();

    internal LeaseTable Table => field ??= new LeaseTable([Device], Limits, Time, NullLogger<LeaseTable>.Instance);

    internal LeaseLimits Limits { get; set; } = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        Assert.Empty(Device.Violations);
        Assert.All(Device.Descriptors, descriptor => Assert.True(descriptor.IsClosed));
        await Device.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    internal LeaseRequest Request(ulong page = 0, ulong pages = 1, bool exclusive = true, int bar = 0)
        => new(Device, null, RangeList.Of(Ranges.Of(bar, page, pages)), ExportOptions.ReadWrite, exclusive);

    internal Task<AcquiredLease> AcquireAsync(FakeConnection connection, ulong page = 0, ulong pages = 1, bool exclusive = true)
        => Table.AcquireAsync(connection, Request(page, pages, exclusive), CancellationToken.None);

    internal async Task<LeaseRefusal> RefusalAsync(FakeConnection connection, ulong page = 0, ulong pages = 1, bool exclusive = true)
        => (await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(connection, page, pages, exclusive))).Refusal;

    internal ImmutableArray<LeaseInfo> List() => Table.List(_ => true);

    internal static async Task<LeaseEvent> NextAsync(IAsyncEnumerator<LeaseEvent> events)
    {
        Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30)));
        return events.Current;
    }
}
