using System.Net;
using System.Net.Sockets;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>Accepts connections on one socket, and asks the kernel once who each peer is.</summary>
internal sealed class UnixSocketListener : IConnectionListener
{
    private readonly UnixSocketEndPoint _endpoint;
    private readonly BoundSocket _bound;
    private readonly TransportOptions _options;
    private readonly Func<ulong> _nextId;
    private readonly TransportLog _log;
    private readonly TimeProvider _timeProvider;
    private readonly CancellationTokenSource _unbound = new();
    private readonly ConnectionSlots _slots;

    internal UnixSocketListener(
        UnixSocketEndPoint endpoint, BoundSocket bound, TransportOptions options, Func<ulong> nextId, TransportLog log, TimeProvider timeProvider)
    {
        _endpoint = endpoint;
        _bound = bound;
        _options = options;
        _nextId = nextId;
        _log = log;
        _timeProvider = timeProvider;
        _slots = new ConnectionSlots(endpoint.MaxConnections, endpoint.MaxConnectionsPerUser);
    }

    public EndPoint EndPoint => _endpoint;

    /// <summary>The next connection; null once the listener is unbound.</summary>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            try
            {
                Socket socket = await _bound.Socket.AcceptAsync(_unbound.Token);
                if (TryOpen(socket) is { } connection)
                {
                    return connection;
                }
            }
            catch (Exception) when (_unbound.IsCancellationRequested)
            {
                return null;
            }
            catch (SocketException exception)
            {
                // Either the peer is gone again, or this process is out of descriptors, which does not pass by looking.
                if (exception.SocketErrorCode != SocketError.ConnectionAborted)
                {
                    _log.AcceptFailed(exception, _endpoint.Path);
                    await Task.Delay(TransportLimits.AcceptPause, _timeProvider, _unbound.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _unbound.Cancel();
        _bound.Dispose();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    private UnixConnection? TryOpen(Socket socket)
    {
        PeerCredentials? peer = null;
        try
        {
            PeerCredentials credentials = PeerIdentity.ReadCredentials(socket.SafeHandle);
            if (!TryTakeSlot(credentials.Uid))
            {
                socket.Dispose();
                return null;
            }

            peer = credentials;
            OwnedDescriptor? process = PeerIdentity.OpenProcess(socket.SafeHandle, credentials.Pid);
            UnixConnection connection = new(
                _nextId(), socket, _endpoint, credentials, process, _options, () => _slots.Release(credentials.Uid), _log, _timeProvider);
            connection.Start();
            return connection;
        }
        catch (UnixException exception)
        {
            // Nothing may be decided about a peer that the kernel does not name.
            if (peer is not null)
            {
                _slots.Release(peer.Uid);
            }

            _log.PeerUnknown(exception, _endpoint.Path);
            socket.Dispose();
            return null;
        }
    }

    private bool TryTakeSlot(uint uid)
    {
        switch (_slots.TryTake(uid))
        {
            case ConnectionSlots.Answer.Full:
                _log.TooManyConnections(_endpoint.Path, _endpoint.MaxConnections);
                return false;
            case ConnectionSlots.Answer.UserFull:
                _log.TooManyConnectionsOfUser(_endpoint.Path, uid, _endpoint.MaxConnectionsPerUser);
                return false;
            default:
                return true;
        }
    }
}
