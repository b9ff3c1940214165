using BarBroker.Devices.Vfio;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>VFIO's nodes, on a directory of their own; what the kernel itself says is tried in the virtual machine.</summary>
public sealed class VfioArrivalsTests : IDisposable
{
    private readonly DirectoryInfo _nodes = Directory.CreateTempSubdirectory("vfio-");
    private readonly VfioArrivals _arrivals;

    public VfioArrivalsTests()
    {
        Directory.CreateDirectory(Path.Combine(_nodes.FullName, "devices"));
        File.WriteAllText(Path.Combine(_nodes.FullName, "7"), "");
        _arrivals = new VfioArrivals(NullLogger.Instance, _nodes.FullName);
    }

    public void Dispose()
    {
        _arrivals.Dispose();
        _nodes.Delete(recursive: true);
    }

    [Theory]
    [InlineData("8")]
    [InlineData("devices/vfio0")]
    public Task A_node_that_appears_is_noticed(string name)
        => ChangesAsync(() => File.WriteAllText(Path.Combine(_nodes.FullName, name), ""));

    [Fact]
    public Task A_node_that_is_given_to_its_group_is_noticed()
        => ChangesAsync(() => File.SetUnixFileMode(Path.Combine(_nodes.FullName, "7"), UnixFileMode.UserRead | UnixFileMode.GroupRead));

    private async Task ChangesAsync(Action cause)
    {
        TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _arrivals.Changed += () => changed.TrySetResult();
        cause();
        await changed.Task.WaitAsync(TestContext.Current.CancellationToken);
    }
}
