using System.Globalization;
using System.IO.Pipelines;
using System.Net.Sockets;
using BarBroker.Transport.Metering;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>
/// One accepted connection: two loops between the socket and a pair of pipes whose other ends Kestrel has. It ends by a shutdown of the
/// socket, whose first reason is the one that counts; both loops see it and run out, and only then is anything closed.
/// </summary>
internal sealed partial class UnixConnection : DefaultConnectionContext, IPeerConnection
{
    private readonly AcceptedPeer _peer;
    private readonly ulong _id;
    private readonly Socket _socket;
    private readonly UnixSocketEndPoint _endpoint;
    private readonly PeerCredentials _credentials;
    private readonly OutgoingDescriptors _descriptors;
    private readonly ReadinessSignal _readable;
    private readonly ReadinessSignal _writable;
    private readonly FrameMeter _meter;
    private readonly TimeProvider _time;
    private readonly TransportOptions _options;
    private readonly TransportLog _log;
    private readonly IDuplexPipe _application;
    private readonly CancellationTokenSource _closed = new();
    private readonly CancellationTokenSource _over = new();
    private readonly Lock _gate = new();

    // The state: null while the connection lives.
    private Exception? _shutdownReason;
    private volatile Farewell? _farewell;
    private CancellationTokenRegistration _silence;
    private Task _receiving = Task.CompletedTask;
    private Task _sending = Task.CompletedTask;
    private int _disposed;

    /// <summary>Takes over the peer.</summary>
    /// <param name="peer">Did not come for a ticket's descriptor.</param>
    /// <param name="options">Limits.</param>
    /// <param name="log">Of the transport.</param>
    /// <param name="time">The clock of the frame meter.</param>
    internal UnixConnection(AcceptedPeer peer, TransportOptions options, TransportLog log, TimeProvider time)
    {
        _peer = peer;
        _id = peer.Id;
        _socket = peer.Socket;
        _endpoint = peer.EndPoint;
        _credentials = peer.Credentials;
        _options = options;
        _log = log;
        _descriptors = new OutgoingDescriptors(_socket.SafeHandle, peer.Account.Descriptors, TransportLimits.MaxDescriptorsPerConnection);
        _readable = peer.Readable;
        _writable = ReadinessSignal.ForWriting(_socket.SafeHandle);
        _time = time;
        _meter = new FrameMeter(time, Preface.Length, options.Counters);
        (Transport, _application) = DuplexPipe.CreatePair();

        ConnectionId = _id.ToString(CultureInfo.InvariantCulture);
        ConnectionClosed = _closed.Token;
        LocalEndPoint = _endpoint;
        options.Offences.Follow(ConnectionId, peer);
        Features.Set<IPeerConnection>(this);
        Features.Set(_endpoint);
    }

    ulong IPeerConnection.Id => _id;

    PeerCredentials IPeerConnection.Credentials => _credentials;

    CancellationToken IPeerConnection.Closed => _closed.Token;

    CancellationToken IPeerConnection.ProcessExited => _peer.ProcessExited;

    DescriptorShare? IPeerConnection.Descriptors => _peer.Account.Descriptors;

    ulong IPeerConnection.QueueDescriptor(OwnedDescriptor descriptor) => _descriptors.Enqueue(descriptor);

    TicketConnection? IPeerConnection.IssueTicket() => _endpoint.TakesTickets ? _options.Tickets.Issue(this, _peer.ShareProcess()) : null;

    /// <summary>Starts reading and writing. The clock for the preface has run since the peer was accepted.</summary>
    internal void Start()
    {
        _silence = _peer.Silence.Token.UnsafeRegister(static connection => ((UnixConnection)connection!).OnSilent(), this);
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
        _options.Offences.Forget(ConnectionId);
        int unread = _descriptors.Close();
        _log.Ended(_id, _shutdownReason!.Message);
        if (unread > 0)
        {
            _log.LeftUnread(_id, unread, _credentials.Uid, _credentials.Pid);
        }

        _peer.Close(unread, _peer.Account.Descriptors);
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
            SocketEnd.ShutDown(_socket);
        }

        _descriptors.Refuse();

        // The receive loop may wait for its turn. Not on this thread, which may be Kestrel's and hold its locks.
        ThreadPool.UnsafeQueueUserWorkItem(static over => over.Cancel(), _over, preferLocal: false);
    }

    /// <summary>Tells the world that the connection is over, on a thread of its own: what listens is not the transport's.</summary>
    private void FireClosed() => ThreadPool.UnsafeQueueUserWorkItem(static closed => closed.Cancel(), _closed, preferLocal: false);
}
