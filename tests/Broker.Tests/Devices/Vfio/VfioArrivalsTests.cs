using System.Collections.Concurrent;
using BarBroker.Devices.Vfio;
using BarBroker.Tests.Grpc;
using BarBroker.Unix;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>VFIO's nodes, on a directory of their own; what the kernel itself says is tried in the virtual machine.</summary>
public sealed class VfioArrivalsTests : IDisposable
{
    /// <summary>How long a test that fails waits for what never comes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

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

    [Fact]
    public async Task An_event_that_waits_already_is_heard()
    {
        using FakeEvents events = new();
        events.Offer(() => Encode("bind@/devices/x\0ACTION=bind\0SUBSYSTEM=pci\0"));
        using VfioArrivals arrivals = new(NullLogger.Instance, () => events, _ => null);

        await events.DrainedAsync();
    }

    [Fact]
    public async Task A_failure_to_read_the_kernel_s_events_is_told_and_does_not_end_the_listening()
    {
        using TestLog log = new();
        using FakeEvents events = new();
        using SemaphoreSlim changed = new(0);
        using VfioArrivals arrivals = new(log.CreateLogger("test"), () => events, _ => null);
        arrivals.Changed += () => changed.Release();

        events.Offer(() => throw new UnixException("recvfrom", Errno.NoMemory));
        await events.DrainedAsync();
        Assert.True(await changed.WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.Equal(2015, Assert.Single(log.Entries).EventId);

        events.Offer(() => Encode("bind@/devices/x\0ACTION=bind\0SUBSYSTEM=pci\0"));
        await events.DrainedAsync();
        Assert.True(await changed.WaitAsync(Patience, TestContext.Current.CancellationToken));
        Assert.Single(log.Entries);
    }

    [Fact]
    public void Nodes_that_can_not_be_watched_are_told_and_tolerated()
    {
        using TestLog log = new();

        using VfioArrivals arrivals = new(log.CreateLogger("test"), () => new FakeEvents(), _ => throw new IOException("the limit on inotify instances has been reached"));

        Assert.Equal(2017, Assert.Single(log.Entries).EventId);
    }

    private static byte[] Encode(string message) => System.Text.Encoding.UTF8.GetBytes(message);

    private async Task ChangesAsync(Action cause)
    {
        TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _arrivals.Changed += () => changed.TrySetResult();
        cause();
        await changed.Task.WaitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Events that the test makes up.</summary>
    private sealed class FakeEvents : IKernelEvents
    {
        private readonly EventFd _readable = new();
        private readonly ConcurrentQueue<Func<byte[]>> _events = new();
        private readonly SemaphoreSlim _drained = new(0);

        public OwnedDescriptor Descriptor => _readable.Descriptor;

        public void Offer(Func<byte[]> next)
        {
            _events.Enqueue(next);
            _readable.Signal();
        }

        /// <summary>Waits until an event was taken.</summary>
        public async Task DrainedAsync() => Assert.True(await _drained.WaitAsync(Patience, TestContext.Current.CancellationToken));

        public int? Receive(Span<byte> buffer)
        {
            if (!_events.TryDequeue(out Func<byte[]>? next))
            {
                return null;
            }

            _readable.Wait();
            _drained.Release();
            byte[] message = next();
            message.CopyTo(buffer);
            return message.Length;
        }

        public void Dispose()
        {
            _readable.Dispose();
            _drained.Dispose();
        }
    }
}
