using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class SystemdUnitTests
{
    [Theory]
    [InlineData("0::/system.slice/nvme-driver.service\n", "nvme-driver.service")]
    [InlineData("0::/system.slice/system-nvme.slice/nvme@0000:01:00.0.service\n", "nvme@0000:01:00.0.service")]
    [InlineData("0::/system.slice/dev-disk\\x2dby.service\n", "dev-disk\\x2dby.service")]
    [InlineData("0::/system.slice/_cgroup.service\n", "cgroup.service")]
    [InlineData("0::/init.scope\n", "init.scope")]
    [InlineData("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope")]
    [InlineData("1:name=systemd:/system.slice/other.service\n0::/system.slice/a.service\n", "a.service")]
    public void A_process_is_in_the_unit_of_its_control_group(string cgroups, string expected)
        => Assert.Equal(expected, SystemdUnit.Of(cgroups));

    [Theory]
    [InlineData("0::/user.slice/user-1001.slice/user@1001.service/app.slice/nvme-driver.service\n", "user@1001.service")]
    [InlineData("0::/user.slice/user-1001.slice/user@1001.service/system.slice/nvme-driver.service\n", "user@1001.service")]
    [InlineData("0::/system.slice/docker-0123.scope/system.slice/nvme-driver.service\n", "docker-0123.scope")]
    [InlineData("0::/machine.slice/machine-box.scope/payload/system.slice/nvme-driver.service\n", "machine-box.scope")]
    [InlineData("0::/system.slice/delegating.service/nvme-driver.service\n", "delegating.service")]
    public void What_a_unit_makes_below_itself_counts_as_that_unit(string cgroups, string expected)
        => Assert.Equal(expected, SystemdUnit.Of(cgroups));

    [Theory]
    [InlineData("")]
    [InlineData("0::/\n")]
    [InlineData("0::/system.slice\n")]
    [InlineData("0::/system.slice/nvme-driver.service (deleted)\n")]
    [InlineData("0::/../nvme-driver.service\n")]
    [InlineData("0::/docker/0123/nvme-driver.service\n")]
    [InlineData("0::/system.slice/dev-mqueue.mount/nvme-driver.service\n")]
    [InlineData("1:name=systemd:/system.slice/nvme-driver.service\n")]
    [InlineData("12:pids:/system.slice/nvme-driver.service\n")]
    [InlineData("0::/system.slice/.service\n")]
    [InlineData("0::/system.slice/@.service\n")]
    public void A_process_elsewhere_is_in_no_unit(string cgroups) => Assert.Null(SystemdUnit.Of(cgroups));

    [Theory]
    [InlineData(255, true)]
    [InlineData(256, false)]
    public void The_name_of_a_unit_has_up_to_255_characters(int length, bool expected)
        => Assert.Equal(expected, SystemdUnit.IsName(new string('a', length - 8) + ".service"));
}
