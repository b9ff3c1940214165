using BarBroker.Unix;

namespace BarBroker.Client.Grpc;

/// <summary>The descriptors that arrived on a connection, by their number, until the call that is meant claims them.</summary>
internal sealed class DescriptorInbox
{
    /// <summary>
    /// Begins an Acquire: call it before the request is sent, dispose the result once the reply is dealt with. A descriptor that nobody
    /// claimed is closed when the last Acquire that was under way at its arrival ends.
    /// </summary>
    public AcquireScope BeginAcquire() => throw new NotSupportedException();

    /// <summary>
    /// Takes descriptor number <paramref name="serial"/>. It has arrived when the reply that names it is read, save in a burst of replies
    /// shorter than their number of descriptors: hence the task, which almost always is complete.
    /// </summary>
    /// <exception cref="DescriptorLostException">It did not get into this process, or is another file than <paramref name="inode"/>.</exception>
    /// <exception cref="BarBroker.Grpc.RpcException">UNAVAILABLE: the connection ended before it came.</exception>
    public ValueTask<OwnedDescriptor> ClaimAsync(ulong serial, ulong inode, CancellationToken cancellationToken) => throw new NotSupportedException();

    /// <summary>An Acquire under way.</summary>
    internal readonly struct AcquireScope : IDisposable
    {
        /// <summary>The Acquire is over.</summary>
        public void Dispose() => throw new NotSupportedException();
    }
}
