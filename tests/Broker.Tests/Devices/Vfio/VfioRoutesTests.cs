using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Tests.Hosting.Doctor;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class VfioRoutesTests : IDisposable
{
    private static readonly PciAddress First = FakeMachine.Nvme;
    private static readonly PciAddress Sibling = new(0, 1, 0, 1);
    private static readonly PciAddress Stranger = new(0, 2, 0, 0);

    private readonly FakeMachine _machine = new();
    private readonly FakeRoute _iommufd = new("its own node");
    private readonly FakeRoute _group = new("its group");
    private readonly VfioRoutes _routes;

    public VfioRoutesTests()
    {
        _machine.AddFunction(Sibling, group: 7, driver: "vfio-pci");
        _routes = new VfioRoutes(_machine.Machine.Pci, _iommufd, _group);
    }

    [Fact]
    public void Where_both_ways_are_open_it_is_IOMMUFD()
    {
        using VfioFunction function = Open(First, out RouteChoice choice);

        Assert.Same(_iommufd, choice.Route);
        Assert.Equal("its own node; its group would do as well", choice.Text);
    }

    [Fact]
    public void Where_IOMMUFD_is_not_it_is_the_group_and_the_reason_is_told()
    {
        _iommufd.Obstacle = new RouteObstacle("there is no /dev/iommu: modprobe iommufd", OfKernel: false);

        using VfioFunction function = Open(First, out RouteChoice choice);

        Assert.Same(_group, choice.Route);
        Assert.Equal("its group; not its own node and IOMMUFD, as there is no /dev/iommu: modprobe iommufd", choice.Text);
    }

    [Fact]
    public void Where_the_group_is_not_it_is_IOMMUFD_and_the_reason_is_told()
    {
        _group.Obstacle = new RouteObstacle("the kernel has none", OfKernel: true);

        using VfioFunction function = Open(First, out RouteChoice choice);

        Assert.Same(_iommufd, choice.Route);
        Assert.Equal("its own node; not its group, as the kernel has none", choice.Text);
    }

    [Theory]
    [InlineData(true, false, "0000:01:00.0 can't be opened: no group.")]
    [InlineData(false, true, "0000:01:00.0 can't be opened: no node.")]
    [InlineData(false, false, "0000:01:00.0 can be opened neither by a node of its own (no node) nor through its IOMMU group (no group).")]
    public void Where_neither_is_the_way_that_the_kernel_has_is_told(bool withoutIommufd, bool withoutGroups, string message)
    {
        _iommufd.Obstacle = new RouteObstacle("no node", withoutIommufd);
        _group.Obstacle = new RouteObstacle("no group", withoutGroups);

        DeviceOpenException exception = Assert.Throws<DeviceOpenException>(() => _routes.Open(First));

        Assert.Equal(message, exception.Message);
    }

    [Fact]
    public void While_a_function_of_a_group_is_open_the_others_go_the_same_way()
    {
        _iommufd.Obstacle = new RouteObstacle("its node is somebody else's", OfKernel: false);
        using (VfioFunction first = Open(First, out _))
        {
            _iommufd.Obstacle = null;
            using VfioFunction sibling = Open(Sibling, out RouteChoice choice);
            Assert.Same(_group, choice.Route);
            Assert.EndsWith("as another function of the group is open through it", choice.Text, StringComparison.Ordinal);
        }

        using VfioFunction again = Open(First, out RouteChoice unbound);
        Assert.Same(_iommufd, unbound.Route);
        _iommufd.Obstacle = new RouteObstacle("its node is somebody else's", OfKernel: false);
        DeviceOpenException exception = Assert.Throws<DeviceOpenException>(() => _routes.Open(Sibling));
        Assert.Contains("another function of the group is open with IOMMUFD", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_opening_that_hangs_does_not_hold_up_those_of_other_groups()
    {
        _machine.AddFunction(Stranger, group: 8, driver: "vfio-pci");
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim release = new();
        _iommufd.BeforeOpen = address =>
        {
            if (address == First)
            {
                entered.Set();
                release.Wait();
            }
        };
        Task<VfioFunction> hanging = Task.Factory.StartNew(() => Open(First, out _), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        entered.Wait(TestContext.Current.CancellationToken);

        try
        {
            Task<VfioFunction> other = Task.Factory.StartNew(() => Open(Stranger, out _), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            (await other.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken)).Dispose();
        }
        finally
        {
            release.Set();
            (await hanging).Dispose();
        }
    }

    [Fact]
    public void A_kernel_without_nodes_for_functions_has_no_such_way()
    {
        RouteObstacle obstacle = NewIommufd().FindObstacle(First)!;

        Assert.True(obstacle.OfKernel);
        Assert.Contains("CONFIG_VFIO_DEVICE_CDEV", obstacle.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_without_an_IOMMU_behind_it_counts_as_none()
    {
        _machine.AddIommufd(First, "noiommu-vfio0");

        Assert.True(NewIommufd().FindObstacle(First)?.OfKernel);
    }

    [Theory]
    [InlineData("dev/iommu", "there is no /dev/iommu: modprobe iommufd")]
    [InlineData("dev/vfio/devices/vfio0", "there is no /dev/vfio/devices/vfio0: see why udev does not make it")]
    public void A_node_that_is_missing_is_named(string path, string message)
    {
        _machine.AddIommufd(First);
        Assert.Null(NewIommufd().FindObstacle(First));
        _machine.Remove(path);

        Assert.Equal(new RouteObstacle(message, OfKernel: false), NewIommufd().FindObstacle(First));
    }

    [Theory]
    [InlineData("dev/vfio/vfio", "there is no /dev/vfio/vfio: this kernel is built without CONFIG_VFIO_CONTAINER", true)]
    [InlineData("dev/vfio/7", "there is no /dev/vfio/7: VFIO's no-IOMMU mode is refused", false)]
    [InlineData("dev/vfio", "CONFIG_VFIO_GROUP and CONFIG_VFIO_CONTAINER", true)]
    public void A_group_s_node_that_is_missing_is_named(string path, string message, bool ofKernel)
    {
        using VfioGroupRoute route = new(_machine.Machine.Pci, _machine.Root);
        Assert.Null(route.FindObstacle(First));
        _machine.Remove(path);

        RouteObstacle obstacle = route.FindObstacle(First)!;

        Assert.Contains(message, obstacle.Text, StringComparison.Ordinal);
        Assert.Equal(ofKernel, obstacle.OfKernel);
    }

    [Fact]
    public void A_function_that_left_its_group_meanwhile_is_told_and_not_opened()
    {
        using VfioGroupRoute route = new(_machine.Machine.Pci, _machine.Root);
        _machine.AddFunction(First, group: null, driver: null);

        Assert.Equal(new RouteObstacle("it is in no IOMMU group any more, so it is being unplugged or unbound", OfKernel: false), route.FindObstacle(First));
        Assert.Contains("in no IOMMU group any more", Assert.Throws<DeviceOpenException>(() => route.OpenFunction(First)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_unplugged_while_it_is_looked_at_has_no_nodes_and_no_siblings()
    {
        _machine.Remove("sys");

        Assert.Null(_machine.Machine.Pci.VfioDeviceOf(First));
        Assert.Empty(_machine.Machine.Pci.GroupMembers(7));
    }

    [Fact]
    public void What_can_not_be_bound_is_not_open()
    {
        // Ordinary files stand for the nodes: the kernel has no such request for them.
        _machine.AddIommufd(First);
        using IommufdRoute route = NewIommufd();

        UnixException exception = Assert.Throws<UnixException>(() => route.OpenFunction(First));

        Assert.Equal("VFIO_DEVICE_BIND_IOMMUFD", exception.Call);
        Assert.False(route.HoldsGroup(7));
        Assert.Throws<UnixException>(() => route.OpenFunction(First));
    }

    [Theory]
    [InlineData("511:0\n")]
    [InlineData(null)]
    public void A_node_that_became_another_function_s_is_not_bound(string? number)
    {
        _machine.AddIommufd(First);
        string path = $"sys/bus/pci/devices/{First}/vfio-dev/vfio0/dev";
        _machine.Remove(path);
        if (number is not null)
        {
            _machine.Write(path, number);
        }

        using IommufdRoute route = NewIommufd();

        DeviceOpenException exception = Assert.Throws<DeviceOpenException>(() => route.OpenFunction(First));

        Assert.StartsWith("/dev/vfio/devices/vfio0 was not 0000:01:00.0's any more", exception.Message, StringComparison.Ordinal);
        Assert.False(route.HoldsGroup(7));
    }

    [Theory]
    [InlineData(Errno.Busy, true, "Another process has the IOMMU group of 0000:01:00.0")]
    [InlineData(Errno.InvalidArgument, true, "Another process has 0000:01:00.0")]
    [InlineData(Errno.NotPermitted, false, "turn interrupt remapping on in the firmware")]
    public void What_the_kernel_says_to_a_binding_is_told_by_its_cause(int errno, bool inUse, string message)
    {
        DeviceOpenException failure = Assert.IsType<DeviceOpenException>(IommufdRoute.ToOpenFailure(First, new UnixException("VFIO_DEVICE_BIND_IOMMUFD", errno)));

        Assert.Equal(inUse, failure.IsInUse);
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _routes.Dispose();
        _machine.Dispose();
    }

    private IommufdRoute NewIommufd() => new(_machine.Machine.Pci, _machine.Root);

    private VfioFunction Open(PciAddress address, out RouteChoice choice)
    {
        (VfioFunction function, choice) = _routes.Open(address);
        return function;
    }

    private sealed class FakeRoute(string description) : IVfioRoute
    {
        private readonly HashSet<PciAddress> _open = [];

        public RouteObstacle? Obstacle { get; set; }

        public Action<PciAddress> BeforeOpen { get; set; } = _ => { };

        public RouteObstacle? FindObstacle(PciAddress address) => Obstacle;

        public bool HoldsGroup(int group) => group == 7 && _open.Count > 0;

        public string Describe(PciAddress address) => description;

        public VfioFunction OpenFunction(PciAddress address)
        {
            Assert.Null(Obstacle);
            BeforeOpen(address);
            _open.Add(address);
            return new VfioFunction(MemFd.Create("function"), address, () => _open.Remove(address));
        }

        public void Dispose()
        {
        }
    }
}
