using System.Text;
using BarBroker.Devices.Vfio;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class KernelEventTests
{
    [Fact]
    public void A_binding_names_its_function()
    {
        KernelEvent? parsed = Parse("bind@/devices/pci0000:00/0000:00:07.0/0000:01:00.0\0ACTION=bind\0DEVPATH=/devices/x\0SUBSYSTEM=pci\0DRIVER=vfio-pci\0PCI_SLOT_NAME=0000:01:00.0\0SEQNUM=1234\0");

        Assert.Equal(new KernelEvent("bind", "pci", "0000:01:00.0"), parsed);
        Assert.True(parsed!.ConcernsVfio);
    }

    [Theory]
    [InlineData("pci", true)]
    [InlineData("vfio", true)]
    [InlineData("vfio-dev", true)]
    [InlineData("block", false)]
    [InlineData("pci_bus", false)]
    public void Only_what_VFIO_has_to_do_with_concerns_it(string subsystem, bool expected)
        => Assert.Equal(expected, Parse($"add@/devices/x\0ACTION=add\0SUBSYSTEM={subsystem}\0")!.ConcernsVfio);

    [Theory]
    [InlineData("")]
    [InlineData("\0\0\0")]
    [InlineData("libudev\0\u00fe\u00ed\0")]
    [InlineData("add@/devices/x\0ACTION=add\0")]
    [InlineData("add@/devices/x\0SUBSYSTEM=pci\0")]
    [InlineData("add@/devices/x")]
    [InlineData("ACTION=add\0SUBSYSTEM=pci\0")]
    public void What_is_no_event_is_none(string message) => Assert.Null(Parse(message));

    [Fact]
    public void A_value_may_hold_an_equals_sign_and_a_line_may_have_none()
        => Assert.Equal(new KernelEvent("a=b", "pci", null), Parse("add@/x\0ACTION=a=b\0nonsense\0SUBSYSTEM=pci\0"));

    private static KernelEvent? Parse(string message) => KernelEvent.Parse(Encoding.Latin1.GetBytes(message));
}
