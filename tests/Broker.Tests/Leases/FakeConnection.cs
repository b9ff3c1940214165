using BarBroker.Transport;
using BarBroker.Unix;

namespace BarBroker.Tests.Leases;

/// <summary>A connection that ends when the test says so.</summary>
#pragma warning disable CA1001 // The token sources have no timer and no handle: there is nothing to dispose of.
internal sealed class FakeConnection(ulong id = 1, uint uid = 1000, uint gid = 1000) : IPeerConnection
#pragma warning restore CA1001
{
    private readonly CancellationTokenSource _closed = new();
    private readonly CancellationTokenSource _exited = new();
    private ulong _serial;

    public ulong Id => id;

    public PeerCredentials Credentials { get; } = new(uid, gid, [], 4711);

    public CancellationToken Closed => _closed.Token;

    public CancellationToken ProcessExited => _exited.Token;

    /// <summary>Runs where a descriptor is queued; what it throws is thrown to the caller.</summary>
    public Action OnQueue { get; set; } = () => { };

    public int Queued { get; private set; }

    public ulong QueueDescriptor(OwnedDescriptor descriptor)
    {
        descriptor.Dispose();
        OnQueue();
        Queued++;
        return _serial++;
    }

    public void Close() => _closed.Cancel();

    public void Exit() => _exited.Cancel();
}
