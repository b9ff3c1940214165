using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Tests.Leases;
using BarBroker.Unix;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>Revocations of several leases, not all of which the kernel confirms.</summary>
public sealed class VfioRevocationTests : IAsyncLifetime
{
    private static readonly LeaseId[] Ids = [new(1), new(2), new(3)];

    private readonly FakeFunction _function = new();
    private readonly FakeSession _session = new();
    private readonly VfioBarDevice _device;

    public VfioRevocationTests()
        => _device = new VfioBarDevice("nvme0", new PciAddress(0, 1, 0, 0), _function, _session, NullLogger.Instance, new FakeTimeProvider());

    public async ValueTask InitializeAsync()
    {
        foreach (LeaseId id in Ids)
        {
            (await _device.ExportAsync(id, holder: 0, [Ranges.Of(0, 0, 1)], ExportOptions.ReadWrite)).Descriptor.Dispose();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _session.RevokeFailure = null;
        await _device.DisposeAsync();
        _function.Dispose();
    }

    [Fact]
    public async Task What_the_module_lists_no_more_after_a_timeout_has_ended()
    {
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);
        _session.Resists = id => id == Ids[1];

        RevocationUnconfirmedException exception = await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => _device.RevokeAsync([.. Ids]));

        Assert.Equal([Ids[1]], exception.Unconfirmed);
        Assert.Equal(1, _session.Lists);
        _session.RevokeFailure = null;
        await _device.DisposeAsync();
        Assert.Equal([Ids[0], Ids[2], Ids[1]], _session.Revoked);
    }

    [Theory]
    [InlineData((int)ListedLeaseState.Live)]
    [InlineData((int)ListedLeaseState.Suspended)]
    [InlineData((int)ListedLeaseState.Revoking)]
    public async Task What_the_module_lists_in_any_state_has_not_ended(int state)
    {
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.NoMemory);
        _session.ListedState = (ListedLeaseState)state;

        Assert.Equal(Ids, (await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => _device.RevokeAsync([.. Ids]))).Unconfirmed);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_list_that_can_not_be_had_or_believed_confirms_nothing(bool isHad)
    {
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);
        _session.Resists = id => id == Ids[1];
        _session.ListFailure = isHad ? new InvalidDataException("a range that can't be") : new UnixException("BAR_LEASE_LIST", Errno.NoMemory);

        Assert.Equal(Ids, (await Assert.ThrowsAsync<RevocationUnconfirmedException>(() => _device.RevokeAsync([.. Ids]))).Unconfirmed);
    }

    [Fact]
    public async Task What_ended_between_the_timeout_and_the_list_is_confirmed()
    {
        _session.RevokeFailure = new UnixException("BAR_LEASE_REVOKE", Errno.TimedOut);
        _session.Resists = _ => false;

        await _device.RevokeAsync([.. Ids]);

        Assert.Equal(Ids, _session.Revoked);
    }

    [Fact]
    public async Task A_revocation_that_is_confirmed_asks_for_no_list()
    {
        await _device.RevokeAsync([.. Ids]);

        Assert.Equal(0, _session.Lists);
    }
}
