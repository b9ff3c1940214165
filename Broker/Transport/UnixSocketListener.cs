using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <summary>
/// Accepts connections on one socket, asks the kernel once who each peer is, and waits for the first byte of each: those that came with a
/// ticket are served here, all others are Kestrel's, which finds their bytes untouched.
/// </summary>
internal sealed class UnixSocketListener : IConnectionListener
{
    private readonly UnixSocketEndPoint _endpoint;
    private readonly BoundSocket _bound;
    private readonly TransportOptions _options;
    private readonly TransportLog _log;
    private readonly TimeProvider _timeProvider;
    private readonly CancellationTokenSource _unbound = new();
    private readonly CancellationTokenSource _disposed = new();
    private readonly UserAccounts _accounts;
    private readonly Redeemer _redeemer;
    private readonly Channel<AcceptedPeer> _arrivals;

    /// <summary>What Kestrel knows nothing of: connections that have not spoken, or came with a ticket.</summary>
    private readonly ConcurrentDictionary<Task, bool> _own = new();
    private int _turnedAway;
    private Task _accepting = Task.CompletedTask;

    private UnixSocketListener(UnixSocketEndPoint endpoint, BoundSocket bound, TransportOptions options, TransportLog log, TimeProvider timeProvider)
    {
        _endpoint = endpoint;
        _bound = bound;
        _options = options;
        _log = log;
        _timeProvider = timeProvider;
        _accounts = new UserAccounts(endpoint.Limits, options.Budget, timeProvider, TimeProvider.System);
        _redeemer = new Redeemer(options.Tickets, options.TicketLog, options.Counters);
        options.Counters.Show(Path.GetFileName(endpoint.Path), _accounts);

        // Whoever is in it has a place among the connections: it is never full.
        _arrivals = Channel.CreateBounded<AcceptedPeer>(endpoint.Limits.Connections);
    }

    public EndPoint EndPoint => _endpoint;

    /// <summary>Takes over the socket, and accepts from now on.</summary>
    internal static UnixSocketListener Start(
        UnixSocketEndPoint endpoint, BoundSocket bound, TransportOptions options, TransportLog log, TimeProvider timeProvider)
    {
        UnixSocketListener listener = new(endpoint, bound, options, log, timeProvider);
        listener._accepting = Task.Run(listener.AcceptLoopAsync);
        return listener;
    }

    /// <summary>The next connection that speaks and is no ticket's; null once the listener is unbound.</summary>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _arrivals.Reader.WaitToReadAsync(cancellationToken))
        {
            if (_arrivals.Reader.TryRead(out AcceptedPeer? peer))
            {
                UnixConnection connection = new(peer, _options, _log, _timeProvider);
                connection.Start();
                return connection;
            }
        }

        return null;
    }

    /// <summary>Accepts no more, and closes what has not said yet what it came for.</summary>
    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        await _unbound.CancelAsync();
        _bound.Dispose();
        await _accepting;
        _arrivals.Writer.TryComplete();
    }

    /// <summary>Ends the leases of all who came with a ticket, too.</summary>
    public async ValueTask DisposeAsync()
    {
        await UnbindAsync();
        await _disposed.CancelAsync();
        while (_arrivals.Reader.TryRead(out AcceptedPeer? peer))
        {
            peer.Close();
        }

        await Task.WhenAll(_own.Keys);
    }

    private async Task AcceptLoopAsync()
    {
        int refused = 0;
        long since = 0;
        while (true)
        {
            try
            {
                Socket socket = await _bound.Socket.AcceptAsync(_unbound.Token);
                since = refused == 0 ? Stopwatch.GetTimestamp() : since;
                if (!TryOpen(socket) && ++refused == TransportLimits.RefusalsPerPause)
                {
                    // By the machine's clock, whatever the broker's is: it is the machine that is to be spared.
                    TimeSpan took = Stopwatch.GetElapsedTime(since);
                    refused = 0;
                    await Task.Delay(TimeSpan.FromTicks(Math.Clamp(took.Ticks, TransportLimits.LeastRefusalPause.Ticks, TransportLimits.MostRefusalPause.Ticks)), _unbound.Token);
                }
            }
            catch (Exception) when (_unbound.IsCancellationRequested)
            {
                return;
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                // Either the peer is gone again, or this process is out of descriptors, which does not pass by looking.
                if (exception is not SocketException { SocketErrorCode: SocketError.ConnectionAborted })
                {
                    _log.AcceptFailed(exception, _endpoint.Path);
                    await Task.Delay(TransportLimits.AcceptPause, _timeProvider, _unbound.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }
        }
    }

    /// <returns>False when it was refused.</returns>
    private bool TryOpen(Socket socket)
    {
        UserAccount? account = null;
        try
        {
            if (DescriptorReserve.IsTouchedBy(socket.SafeHandle, _endpoint.DescriptorsKeptFree))
            {
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.NoDescriptors);
                _log.NoDescriptors(_endpoint.Path);
                socket.Dispose();
                return false;
            }

            // A byte that a peer sends out of band is in the way otherwise: one who looks at what is there does not see it, while epoll goes
            // on reporting that there is something.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.OutOfBandInline, true);
            PeerCredentials credentials = PeerIdentity.ReadCredentials(socket.SafeHandle);
            account = TryTakePlace(credentials.Uid);
            if (account is null)
            {
                TurnAway(socket);
                return false;
            }

            OwnedDescriptor? process = PeerIdentity.OpenProcess(socket.SafeHandle, credentials.Pid, out bool isCertain);
            if (process is not null && isCertain)
            {
                // Now, not when a policy asks: by then the process may have gone, or have been moved.
                credentials = PeerPlace.Find(credentials, process);
            }

            AcceptedPeer accepted = new(
                _options.Numbers.Next(),
                socket,
                _endpoint,
                credentials,
                process is null ? null : new ProcessExitWatch(process),
                new CancellationTokenSource(_options.PrefaceTimeout, _timeProvider),
                _accounts,
                account);
            _log.Accepted(accepted.Id, _endpoint.Path, credentials.Uid, credentials.Gid, credentials.Pid);
            Follow(WelcomeAsync(accepted));
            return true;
        }
        catch (UnixException exception)
        {
            // Nothing may be decided about a peer that the kernel does not name.
            if (account is not null)
            {
                _accounts.EndSilence(account);
                _accounts.Close(account);
            }

            _options.Counters.ConnectionsRefused.Add(RefusedConnection.UnknownPeer);
            _log.PeerUnknown(exception, _endpoint.Path);
            socket.Dispose();
            return false;
        }
    }

    /// <summary>Such a task closes what it was given, and does not fail.</summary>
    private void Follow(Task task)
    {
        if (!task.IsCompleted)
        {
            _own[task] = true;
            _ = task.ContinueWith(ended => _own.TryRemove(ended, out _), TaskScheduler.Default);
        }
    }

    /// <summary>Finds out what the peer came for, and gives it to who serves that.</summary>
    private async Task WelcomeAsync(AcceptedPeer peer)
    {
        // The listener goes on accepting: what this peer sends, or has the kernel close here, is its own affair.
        await Task.Yield();
        try
        {
            byte? first;
            RedeemRequest? request = null;
            using (_unbound.Token.UnsafeRegister(static clock => ((CancellationTokenSource)clock!).Cancel(), peer.Silence))
            {
                first = await PeekAsync(peer.Socket, peer.Readable, peer.Silence.Token);
                if (await AwaitTurnAsync(peer))
                {
                    first = null;
                }

                if (first == TicketPreface.FirstByte)
                {
                    request = await _redeemer.ReadAsync(peer);
                }
            }

            if (request is { } read)
            {
                peer.EndSilence();
                await _redeemer.ServeAsync(peer, read, _disposed.Token);
                return;
            }

            // Not one whose clock was ended just before: Kestrel's connection would take that for a silent peer.
            if (first is not null && !_unbound.IsCancellationRequested && _arrivals.Writer.TryWrite(peer))
            {
                return;
            }
        }
        catch (OperationCanceledException)
        {
            if (!_unbound.IsCancellationRequested)
            {
                _log.Silent(peer.Id, peer.Credentials.Uid, peer.Credentials.Pid, _options.PrefaceTimeout);
                _options.Counters.ProtocolErrors.Add(BrokenProtocol.Silent);
            }
        }
        catch (Exception exception) when (exception is SocketException or UnixException)
        {
            _log.Ended(peer.Id, exception.Message);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            _log.Failed(exception, peer.Id);
        }

        peer.Close();
    }

    /// <summary>
    /// Returns when it is this peer's turn to be let in. What that begins goes through the pool several times before it is done: the next of the same
    /// user waits for as long, since what a user makes at once would be in everybody's way there.
    /// </summary>
    /// <returns>True when the peer has left.</returns>
    private async ValueTask<bool> AwaitTurnAsync(AcceptedPeer peer)
    {
        Turn turn = await peer.Account.Pace.TakeTurnAsync(peer.Socket.SafeHandle, peer.Silence.Token);
        _options.Counters.Count(turn);
        if (turn.IsTaken)
        {
            Follow(PassOnAsync(turn));
        }

        return turn.HasLeft;

        static async Task PassOnAsync(Turn turn)
        {
            for (int stage = 0; stage < PaceLimits.StagesOfArrival; stage++)
            {
                await Task.Yield();
            }

            turn.Dispose();
        }
    }

    /// <summary>Closes the connection of a peer beyond the limits: at once, in a flood, so that those behind it in the queue get their turn.</summary>
    private void TurnAway(Socket socket)
    {
        if (Interlocked.Increment(ref _turnedAway) <= TransportLimits.MaxTurnedAway)
        {
            Follow(AnswerTurnedAwayAsync(socket));
        }
        else
        {
            Interlocked.Decrement(ref _turnedAway);
            socket.Dispose();
        }
    }

    /// <summary>Tells a peer beyond the limits so, if it came with a ticket: HTTP/2 has no words for it before its preface.</summary>
    private async Task AnswerTurnedAwayAsync(Socket socket)
    {
        // As in WelcomeAsync.
        await Task.Yield();
        try
        {
            using CancellationTokenSource limit = new(TransportLimits.TurnedAwayTimeout, _timeProvider);
            using CancellationTokenRegistration unbound = _unbound.Token.UnsafeRegister(static limit => ((CancellationTokenSource)limit!).Cancel(), limit);
            using ReadinessSignal readable = ReadinessSignal.ForReading(socket.SafeHandle);
            if (await PeekAsync(socket, readable, limit.Token) == TicketPreface.FirstByte)
            {
                Redeemer.Answer(socket, RedeemAnswer.TooManyConnections);
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or UnixException)
        {
            // It does not want to know.
        }
        finally
        {
            Interlocked.Decrement(ref _turnedAway);
            socket.Dispose();
        }
    }

    /// <summary>The first byte, which stays where it is; null when none will come. Giving up shuts the socket down, which ends the wait.</summary>
    private static async Task<byte?> PeekAsync(Socket socket, ReadinessSignal readable, CancellationToken cancellationToken)
    {
        byte[] first = new byte[1];
        int received;
        using (cancellationToken.UnsafeRegister(static socket => SocketEnd.ShutDown((Socket)socket!), socket))
        {
            while ((received = DescriptorSocket.TryPeek(socket.SafeHandle, first)) == DescriptorSocket.WouldBlock)
            {
                await readable.WaitAsync();
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        return received > 0 ? first[0] : null;
    }

    private UserAccount? TryTakePlace(uint uid)
    {
        UserLimits limits = _endpoint.Limits;
        switch (_accounts.TryOpen(uid, out UserAccount? account))
        {
            case UserAccounts.Answer.Full:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.Full);
                _log.TooManyConnections(_endpoint.Path, uid, limits.Connections);
                break;
            case UserAccounts.Answer.UserFull:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserFull);
                _log.TooManyConnectionsOfUser(_endpoint.Path, uid, limits.ConnectionsPerUser);
                break;
            case UserAccounts.Answer.UserBlocked:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserBlocked);
                break;
            case UserAccounts.Answer.UserTooOften:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserTooOften);
                _log.TooOften(_endpoint.Path, uid, TransportLimits.ArrivalsPerWindow, TransportLimits.ArrivalWindow);
                break;
            case UserAccounts.Answer.UserDroppedCalls:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserDroppedCalls);
                _log.DroppedCalls(_endpoint.Path, uid, TransportLimits.DroppedCallsPerWindow, TransportLimits.DroppedCallWindow);
                break;
            case UserAccounts.Answer.UserSlowed:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserSlowed);
                _log.Slowed(_endpoint.Path, uid, PaceLimits.MostWaiting);
                break;
            case UserAccounts.Answer.UserSilent:
                _options.Counters.ConnectionsRefused.Add(RefusedConnection.UserSilent);
                _log.TooManySilentOfUser(_endpoint.Path, uid, limits.SilentPerUser);
                break;
        }

        return account;
    }
}
