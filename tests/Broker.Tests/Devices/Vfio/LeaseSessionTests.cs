using BarBroker.Devices.Vfio;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class LeaseSessionTests
{
    private static readonly BarLeaseInfo Good = new()
    {
        ApiVersion = BarLeaseUapi.ApiVersion,
        MaxRanges = 1,
        MaxIds = 1,
        MemoryTypes = 1u << (int)BarLeaseUapi.MemoryUncached,
    };

    [Fact]
    public void A_module_of_this_version_or_a_newer_one_will_do()
    {
        Assert.Null(LeaseSession.FindObstacle(Good));
        Assert.Null(LeaseSession.FindObstacle(Good with { ApiVersion = BarLeaseUapi.ApiVersion + 1, MemoryTypes = uint.MaxValue }));
    }

    [Fact]
    public void A_module_of_an_older_version_will_not()
    {
        Assert.Equal(
            $"The bar_lease module has API version {BarLeaseUapi.ApiVersion - 1}, this broker needs {BarLeaseUapi.ApiVersion}: install the module that came with it and reload it.",
            LeaseSession.FindObstacle(Good with { ApiVersion = BarLeaseUapi.ApiVersion - 1 }));
    }

    [Fact]
    public void Nor_will_one_that_lacks_what_every_lease_takes()
    {
        BarLeaseInfo[] lacking = [Good with { MaxRanges = 0 }, Good with { MaxIds = 0 }, Good with { MemoryTypes = ~Good.MemoryTypes }];

        Assert.All(lacking, info => Assert.StartsWith("The bar_lease module was built without what leases take", LeaseSession.FindObstacle(info), StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(Errno.NoEntry, "There is no /dev/bar_lease: load the kernel module that makes it (modprobe bar_lease).")]
    [InlineData(Errno.NoSuchDevice, "There is no module behind /dev/bar_lease: load it (modprobe bar_lease).")]
    [InlineData(Errno.NoDevice, "There is no module behind /dev/bar_lease: load it (modprobe bar_lease).")]
    [InlineData(Errno.AccessDenied, "/dev/bar_lease may not be opened: the broker's user or group must own it (chown, or a udev rule for KERNEL==\"bar_lease\").")]
    public void A_node_that_does_not_open_is_told_with_its_cure(int errno, string message)
    {
        Assert.Equal(message, LeaseSession.OpenCure(LeaseSession.NodePath, new UnixException("open", errno)));
    }

    [Fact]
    public void A_node_that_is_something_else_is_told()
    {
        DeviceOpenException exception = Assert.Throws<DeviceOpenException>(() => LeaseSession.Open("/dev/null"));

        Assert.StartsWith("/dev/null does not answer as the bar_lease module", exception.Message, StringComparison.Ordinal);
    }
}
