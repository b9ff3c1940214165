using System.Net.Sockets;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>
/// A connection that ended with descriptors unread. The kernel charges them to this user until the peer reads them or closes its end,
/// so their places in the budget, and the connection's own place, stay taken until then: a peer that connects, takes, and never reads
/// uses up its own share and nobody else's.
/// </summary>
internal sealed class UnreadDescriptors : IDescriptorObserver, IThreadPoolWorkItem
{
    private readonly Socket _socket;
    private readonly int _count;
    private readonly DescriptorShare _share;
    private readonly Action _onSettled;
    private DescriptorWatcher.Registration? _registration;
    private int _settled;

    private UnreadDescriptors(Socket socket, int count, DescriptorShare share, Action onSettled)
    {
        _socket = socket;
        _count = count;
        _share = share;
        _onSettled = onSettled;
    }

    /// <summary>Takes over <paramref name="socket"/>, which is shut down, and closes it once the peer has read, or closed, its end.</summary>
    internal static void Await(Socket socket, int count, DescriptorShare share, Action onSettled)
    {
        UnreadDescriptors unread = new(socket, count, share, onSettled);
        try
        {
            // Edge-triggered: a shut-down socket is always ready, but each read at the other end is a wake-up of its own.
            unread._registration = DescriptorWatcher.Shared.Watch(socket.SafeHandle, DescriptorEvents.Writable | DescriptorEvents.EdgeTriggered, unread);
        }
        catch (UnixException)
        {
            // It can't be watched, and closing gives up the knowledge: better a count that is too low than a place lost for good.
            unread.Settle();
            return;
        }

        unread.Check();
    }

    void IDescriptorObserver.OnReady() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    void IThreadPoolWorkItem.Execute() => Check();

    private void Check()
    {
        bool drained;
        try
        {
            drained = DescriptorSocket.GetUnreadMemory(_socket.SafeHandle) < TransportLimits.MinMemoryPerMessage;
        }
        catch (ObjectDisposedException)
        {
            return;
        }

        // The first report can come before Await has stored the registration; its own check follows then.
        if (drained && _registration is not null)
        {
            Settle();
        }
    }

    private void Settle()
    {
        if (Interlocked.Exchange(ref _settled, 1) == 0)
        {
            _registration?.Dispose();
            _socket.Dispose();
            _share.Release(_count);
            _onSettled();
        }
    }
}
