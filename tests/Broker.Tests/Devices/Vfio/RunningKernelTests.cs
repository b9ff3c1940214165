using BarBroker.Devices.Vfio;
using BarBroker.Tests.Hosting.Doctor;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class RunningKernelTests : IDisposable
{
    private readonly FakeMachine _machine = new();

    [Theory]
    [InlineData("6.18.99-generic")]
    [InlineData("6.12.41+deb13-amd64")]
    [InlineData("6.1.0-37-amd64")]
    [InlineData("5.10")]
    public void A_release_before_6_19_is_too_old_and_one_sentence_says_what_is_missing(string release)
    {
        RunningKernel kernel = NewKernel(release);

        Assert.Equal(
            $"This kernel ({release}) is too old: bar-broker needs Linux 6.19 or newer, whose vfio-pci exports DMABUFs (CONFIG_VFIO_PCI_DMABUF).",
            kernel.FindUnfitness([FakeMachine.Nvme], _ => false));
    }

    [Theory]
    [InlineData("6.19.0-rc1")]
    [InlineData("6.20")]
    [InlineData("7.0.1")]
    [InlineData("10.0-custom+")]
    [InlineData("mainline")]
    [InlineData("")]
    public void A_release_since_6_19_and_one_that_is_no_number_have_the_benefit_of_the_doubt(string release)
    {
        Assert.Null(NewKernel(release).FindUnfitness([FakeMachine.Nvme], _ => throw new InvalidOperationException("No device has to be opened for that.")));
    }

    [Fact]
    public void A_function_that_can_export_proves_an_old_number_wrong()
    {
        Assert.Null(NewKernel("5.14.0-700.el9").FindUnfitness([new(0, 2, 0, 0), FakeMachine.Nvme], address => address == FakeMachine.Nvme));
    }

    [Fact]
    public void An_old_kernel_with_no_function_to_ask_is_too_old()
    {
        Assert.NotNull(NewKernel("6.12.0").FindUnfitness([], _ => true));
    }

    [Fact]
    public void A_kernel_that_is_known_to_be_built_without_the_export_is_told_apart()
    {
        _machine.Write("boot/config-6.19.2", "CONFIG_VFIO_PCI=m\n# CONFIG_VFIO_PCI_DMABUF is not set\n");

        Assert.Equal(
            "This kernel (6.19.2) is built without CONFIG_VFIO_PCI_DMABUF, so its vfio-pci can't export DMABUFs: boot Linux 6.19 or newer that has it (it needs CONFIG_PCI_P2PDMA).",
            NewKernel("6.19.2").FindUnfitness([], _ => true));
    }

    public void Dispose() => _machine.Dispose();

    private RunningKernel NewKernel(string release)
    {
        _machine.Write("proc/sys/kernel/osrelease", release + "\n");
        return new RunningKernel(_machine.Root);
    }
}
