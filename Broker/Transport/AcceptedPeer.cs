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
    private readonly UserAccounts _accounts;
    private readonly UserAccount _account;
    private int _closed;
    private int _spoken;
    private int _offended;

    /// <param name="id">The connection's number.</param>
    /// <param name="socket">Accepted. Is taken over.</param>
    /// <param name="endpoint">Where.</param>
    /// <param name="credentials">Who it is.</param>
    /// <param name="process">Its process; null when that is gone already. Is taken over.</param>
    /// <param name="silence">The clock. Is taken over.</param>
    /// <param name="accounts">Of the endpoint.</param>
    /// <param name="account">Where the connection counts until it is closed.</param>
    internal AcceptedPeer(
        ulong id,
        Socket socket,
        UnixSocketEndPoint endpoint,
        PeerCredentials credentials,
        ProcessExitWatch? process,
        CancellationTokenSource silence,
        UserAccounts accounts,
        UserAccount account)
    {
        Id = id;
        Socket = socket;
        Readable = ReadinessSignal.ForReading(socket.SafeHandle);
        EndPoint = endpoint;
        Credentials = credentials;
        Silence = silence;
        _process = process;
        _accounts = accounts;
        _account = account;
    }

    internal ulong Id { get; }

    internal Socket Socket { get; }

    /// <summary>Waits for what the peer says. Not for those who read with <see cref="Socket"/>'s own methods.</summary>
    internal ReadinessSignal Readable { get; }

    internal UnixSocketEndPoint EndPoint { get; }

    internal PeerCredentials Credentials { get; }

    /// <summary>What its user has open.</summary>
    internal UserAccount Account => _account;

    /// <summary>Is cancelled when the peer has taken too long to say what it came for. Whoever has heard it calls <see cref="EndSilence"/>.</summary>
    internal CancellationTokenSource Silence { get; }

    /// <summary>Is cancelled once the process that connected has ended.</summary>
    internal CancellationToken ProcessExited => _process?.Exited ?? new CancellationToken(canceled: true);

    /// <summary>The watch on the process, for one who needs it for longer than the connection lives.</summary>
    internal ProcessExitWatch? ShareProcess() => _process?.TryShare();

    /// <summary>The peer has said what it came for: the clock stops. Only the first call counts.</summary>
    internal void EndSilence()
    {
        if (Interlocked.Exchange(ref _spoken, 1) == 0)
        {
            Silence.Dispose();
            _accounts.EndSilence(_account);
        }
    }

    /// <summary>The connection is ended for what it sent. Only the first call counts.</summary>
    /// <returns>True when no other of its user is taken for a while.</returns>
    internal bool AddOffence() => Interlocked.Exchange(ref _offended, 1) == 0 && _accounts.AddOffence(_account);

    /// <summary>So many calls were under way when the connection ended.</summary>
    internal void AddDroppedCalls(int count) => _accounts.AddDroppedCalls(_account, count);

    /// <summary>Ends the connection. Only the first call counts.</summary>
    internal void Close() => Close(unread: 0, share: null!);

    /// <summary>Ends the connection; its place is free only once the peer has read, or given up, the descriptors that it was sent.</summary>
    /// <param name="unread">How many of them it has not read.</param>
    /// <param name="share">Gets their places back.</param>
    internal void Close(int unread, DescriptorShare share)
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
        {
            return;
        }

        EndSilence();
        _process?.Dispose();
        Readable.Dispose();
        if (unread > 0)
        {
            UnreadDescriptors.Await(Socket, unread, share, OnClosed);
            return;
        }

        Socket.Dispose();
        OnClosed();
    }

    private void OnClosed() => _accounts.Close(_account);
}
