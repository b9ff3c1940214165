using BarBroker.Client;
using BarBroker.Client.Mapping;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>
/// Memory that faults while its lease stands. No simulated device can do that; the kernel can, by a userfaultfd that answers a
/// missing page with SIGBUS. What real hardware does is tried in the virtual machine.
/// </summary>
public sealed class SuspendedMappingTests
{
    [Fact]
    public void An_access_while_the_device_is_suspended_says_so_and_works_again_afterwards()
    {
        using TestLease lease = new();
        using LeaseMapping mapping = LeaseMapping.Map(lease.Memory, lease.Info.Ranges, LeaseAccess.ReadWrite);
        using MappedBar bar = new(mapping, lease.Info, _ => { });
        using (LeaseMapping.Usage memory = mapping.Use())
        {
            using OwnedDescriptor suspended = MissingPages.FaultOn(memory.Address, lease.Info.Length);

            DeviceSuspendedException exception = Assert.Throws<DeviceSuspendedException>(() => bar.Read32(16));
            Assert.Equal(7UL, exception.LeaseId);
            Assert.Contains("offset 0x10", exception.Message, StringComparison.Ordinal);
            Assert.Throws<DeviceSuspendedException>(() => bar.Write32(16, 1));
        }

        bar.Write32(16, 5);
        Assert.Equal(5u, bar.Read32(16));
        lease.Revoke();
        Assert.Throws<LeaseRevokedException>(() => bar.Read32(16));
    }
}
