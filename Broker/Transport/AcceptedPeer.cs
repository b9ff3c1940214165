using System.Net.Sockets;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>
/// The other end of an accepted connection: its socket, who it is, its place among the connections, and the clock for what it says first.
/// Whoever serves it closes it.
/// </summary>
internal sealed class AcceptedPeer
{
    private readonly ProcessExitWatch? _process;
    private readonly Action _onClosed;
    private int _closed;

    /// <param name="id">The connection's number.</param>
    /// <param name="socket">Accepted. Is taken over.</param>
    /// <param name="endpoint">Where.</param>
    /// <param name="credentials">Who it is.</param>
    /// <param name="process">Its process; null when that is gone already. Is taken over.</param>
    /// <param name="silence">The clock. Is taken over.</param>
    /// <param name="onClosed">Is called once, when the connection no longer counts.</param>
    internal AcceptedPeer(
        ulong id, Socket socket, UnixSocketEndPoint endpoint, PeerCredentials credentials, ProcessExitWatch? process, CancellationTokenSource silence, Action onClosed)
    {
        Id = id;
        Socket = socket;
        Readable = ReadinessSignal.ForReading(socket.SafeHandle);
        EndPoint = endpoint;
        Credentials = credentials;
        Silence = silence;
        _process = process;
        _onClosed = onClosed;
    }

    internal ulong Id { get; }

    internal Socket Socket { get; }

    /// <summary>Waits for what the peer says. Not for those who read with <see cref="Socket"/>'s own methods.</summary>
    internal ReadinessSignal Readable { get; }

    internal UnixSocketEndPoint EndPoint { get; }

    internal PeerCredentials Credentials { get; }

    /// <summary>Is cancelled when the peer has taken too long to say what it came for. Whoever has heard it disposes the clock.</summary>
    internal CancellationTokenSource Silence { get; }

    /// <summary>Is cancelled once the process that connected has ended.</summary>
    internal CancellationToken ProcessExited => _process?.Exited ?? new CancellationToken(canceled: true);

    /// <summary>The watch on the process, for one who needs it for longer than the connection lives.</summary>
    internal ProcessExitWatch? ShareProcess() => _process?.TryShare();

    /// <summary>Ends the connection. Only the first call counts.</summary>
    internal void Close() => Close(unread: 0, budget: null!);

    /// <summary>Ends the connection; its place is free only once the peer has read, or given up, the descriptors that it was sent.</summary>
    /// <param name="unread">How many of them it has not read.</param>
    /// <param name="budget">Gets their places back.</param>
    internal void Close(int unread, DescriptorBudget budget)
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
        {
            return;
        }

        Silence.Dispose();
        _process?.Dispose();
        Readable.Dispose();
        if (unread > 0)
        {
            UnreadDescriptors.Await(Socket, unread, budget, _onClosed);
            return;
        }

        Socket.Dispose();
        _onClosed();
    }
}
