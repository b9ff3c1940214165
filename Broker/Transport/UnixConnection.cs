using System.Globalization;
using System.IO.Pipelines;
using System.Net.Sockets;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>
/// One accepted connection: two loops between the socket and a pair of pipes whose other ends Kestrel has. It ends by a shutdown of the
/// socket, whose first reason is the one that counts; both loops see it and run out, and only then is anything closed.
/// </summary>
internal sealed partial class UnixConnection : DefaultConnectionContext, IPeerConnection
{
    private readonly ulong _id;
    private readonly Socket _socket;
    private readonly UnixSocketEndPoint _endpoint;
    private readonly PeerCredentials _credentials;
    private readonly ProcessExitWatch? _process;
    private readonly OutgoingDescriptors _descriptors;
    private readonly WritableSignal _writable;
    private readonly TransportOptions _options;
    private readonly Action _onDisposed;
    private readonly TransportLog _log;
    private readonly ITimer _silence;
    private readonly IDuplexPipe _application;
    private readonly CancellationTokenSource _closed = new();
    private readonly Lock _gate = new();

    // The state: null while the connection lives.
    private Exception? _shutdownReason;
    private Task _receiving = Task.CompletedTask;
    private Task _sending = Task.CompletedTask;
    private int _disposed;

    /// <summary>Takes over the socket and the pidfd, unless it throws: then the socket stays the caller's.</summary>
    /// <param name="id">Its number.</param>
    /// <param name="socket">Accepted.</param>
    /// <param name="endpoint">Where.</param>
    /// <param name="credentials">Of the peer.</param>
    /// <param name="process">The peer's pidfd; null when it is gone already.</param>
    /// <param name="options">Limits.</param>
    /// <param name="onDisposed">Is called once, when the connection no longer counts.</param>
    /// <param name="log">Of the transport.</param>
    /// <param name="timeProvider">Measures the silence at the start.</param>
    internal UnixConnection(
        ulong id,
        Socket socket,
        UnixSocketEndPoint endpoint,
        PeerCredentials credentials,
        OwnedDescriptor? process,
        TransportOptions options,
        Action onDisposed,
        TransportLog log,
        TimeProvider timeProvider)
    {
        _id = id;
        _socket = socket;
        _endpoint = endpoint;
        _credentials = credentials;
        _process = process is null ? null : new ProcessExitWatch(process);
        _options = options;
        _onDisposed = onDisposed;
        _log = log;
        _silence = timeProvider.CreateTimer(
            static connection => ((UnixConnection)connection!).OnSilent(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _descriptors = new OutgoingDescriptors(socket.SafeHandle, options.Budget, TransportLimits.MaxDescriptorsPerConnection);
        _writable = new WritableSignal(socket.SafeHandle);
        (Transport, _application) = DuplexPipe.CreatePair();

        ConnectionId = id.ToString(CultureInfo.InvariantCulture);
        ConnectionClosed = _closed.Token;
        LocalEndPoint = endpoint;
        Features.Set<IPeerConnection>(this);
        Features.Set(endpoint);
    }

    ulong IPeerConnection.Id => _id;

    PeerCredentials IPeerConnection.Credentials => _credentials;

    CancellationToken IPeerConnection.Closed => _closed.Token;

    CancellationToken IPeerConnection.ProcessExited => _process?.Exited ?? new CancellationToken(canceled: true);

    ulong IPeerConnection.QueueDescriptor(OwnedDescriptor descriptor) => _descriptors.Enqueue(descriptor);

    /// <summary>Starts reading, writing, and the clock for the first bytes.</summary>
    internal void Start()
    {
        _log.Accepted(_id, _endpoint.Path, _credentials.Uid, _credentials.Gid, _credentials.Pid);
        _silence.Change(_options.PrefaceTimeout, Timeout.InfiniteTimeSpan);
        _receiving = ReceiveAsync();
        _sending = SendAsync();
    }

    /// <summary>Ends the connection at once; what is not sent yet is lost.</summary>
    public override void Abort(ConnectionAbortedException abortReason)
    {
        Shutdown(abortReason);

        // The send loop may wait for bytes that never come.
        _application.Input.CancelPendingRead();
    }

    /// <summary>Kestrel is done with the connection.</summary>
    public override async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await CloseAsync();
        }

        await base.DisposeAsync();
    }

    private async Task CloseAsync()
    {
        // Completing Kestrel's ends lets the send loop write what is left and then shut down, which ends the receive loop.
        await Transport.Input.CompleteAsync();
        await Transport.Output.CompleteAsync();
        await _sending;
        await _receiving;

        // The loops are over: nobody waits for writability, and nobody but this method touches the socket.
        await _silence.DisposeAsync();
        _writable.Dispose();
        _process?.Dispose();
        int unread = _descriptors.Close();
        _log.Ended(_id, _shutdownReason!.Message);
        if (unread > 0)
        {
            _log.LeftUnread(_id, unread, _credentials.Uid, _credentials.Pid);
            UnreadDescriptors.Await(_socket, unread, _options.Budget, _onDisposed);
            return;
        }

        _socket.Dispose();
        _onDisposed();
    }

    private void Shutdown(Exception reason)
    {
        lock (_gate)
        {
            if (_shutdownReason is not null)
            {
                return;
            }

            _shutdownReason = reason;
            try
            {
                _socket.Shutdown(SocketShutdown.Both);
            }
            catch (SocketException)
            {
                // The peer was faster.
            }
        }

        _descriptors.Refuse();
    }

    /// <summary>Tells the world that the connection is over, on a thread of its own: what listens is not the transport's.</summary>
    private void FireClosed() => ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
}
