using BarBroker.Unix;

namespace BarBroker.Transport.Redeem;

/// <summary>
/// Holds a lease in place of the gRPC connection that acquired it: first for a ticket that waits to be redeemed, then for the connection that
/// came with it. It ends, as a connection does, when nobody comes in time or when that connection is over.
/// </summary>
internal sealed class TicketConnection : IPeerConnection, IDisposable
{
    private readonly Lock _gate = new();
    private readonly ulong _id;
    private readonly ulong _acquirerId;
    private readonly TicketBook _book;
    private readonly DescriptorShare _share;
    private readonly CancellationTokenSource _closed = new();
    private readonly CancellationTokenSource _exited = new();
    private ProcessExitWatch? _acquirerProcess;
    private volatile PeerCredentials _credentials;
    private CancellationTokenRegistration _exit;
    private OwnedDescriptor? _descriptor;
    private bool _isOver;

    /// <param name="id">Its number among the connections.</param>
    /// <param name="acquirer">Whose call makes the lease.</param>
    /// <param name="acquirerProcess">Its process. Is taken over.</param>
    /// <param name="book">Where it is kept.</param>
    /// <param name="share">The descriptor has its place in it from the start, so that it can always be sent.</param>
    internal TicketConnection(ulong id, IPeerConnection acquirer, ProcessExitWatch? acquirerProcess, TicketBook book, DescriptorShare share)
    {
        _id = id;
        _acquirerId = acquirer.Id;
        _credentials = acquirer.Credentials;
        _acquirerProcess = acquirerProcess;
        _book = book;
        _share = share;
        _exit = Watch(acquirer.ProcessExited);
    }

    public ulong Id => _id;

    /// <summary>The connection that acquired the lease may release it, too.</summary>
    public ulong AcquirerId => _acquirerId;

    /// <summary>Who acquired the lease, until it is redeemed; from then on who redeemed it, which is of the same user.</summary>
    public PeerCredentials Credentials => _credentials;

    public CancellationToken Closed => _closed.Token;

    /// <summary>Follows the acquirer's process until the ticket is redeemed, then the redeemer's.</summary>
    public CancellationToken ProcessExited => _exited.Token;

    /// <summary>Where its descriptor has its place.</summary>
    internal DescriptorShare Share => _share;

    /// <summary>Moves under the book's lock only.</summary>
    internal TicketStage Stage { get; private set; }

    /// <summary>Null until there is a lease. The book's.</summary>
    internal TicketSecret? Secret { get; set; }

    /// <summary>Runs from then on. The book's.</summary>
    internal ITimer? Expiry { get; set; }

    /// <summary>Keeps the descriptor for the one who redeems the ticket.</summary>
    public ulong QueueDescriptor(OwnedDescriptor descriptor)
    {
        if (_share.TryReserve() is { } refused)
        {
            descriptor.Dispose();
            throw _share.Exhausted(refused);
        }

        lock (_gate)
        {
            if (!_isOver)
            {
                _descriptor = descriptor;
                return 0;
            }
        }

        _share.Release(1);
        descriptor.Dispose();
        throw new IOException("The ticket is over.");
    }

    /// <summary>The lease is made: the client may have the ticket.</summary>
    internal TicketSecret Open() => _book.Open(this);

    /// <summary>The lease is over, or there will be none.</summary>
    internal void EndWithLease() => _book.End(this, TicketFate.LeaseOver);

    internal void OnExpired() => _book.End(this, TicketFate.Expired);

    /// <summary>From now on the lease belongs to <paramref name="peer"/>. Call it once it is redeemed.</summary>
    /// <returns>The descriptor, with its place in the budget; null when the lease was over just before.</returns>
    internal OwnedDescriptor? HandOver(AcceptedPeer peer)
    {
        CancellationTokenRegistration exit = Watch(peer.ProcessExited);
        lock (_gate)
        {
            (exit, _exit) = (_exit, exit);
            if (!_isOver)
            {
                _credentials = peer.Credentials;
            }
            else
            {
                _exit.Unregister();
            }
        }

        exit.Unregister();
        Interlocked.Exchange(ref _acquirerProcess, null)?.Dispose();
        return Interlocked.Exchange(ref _descriptor, null);
    }

    /// <summary>For the book.</summary>
    internal void MoveTo(TicketStage next)
    {
        Stage = next > Stage ? next : throw new InvalidOperationException($"Ticket {Id} can't go from {Stage} to {next}.");
    }

    /// <summary>Gives up everything, and tells who holds the lease. For the book, which knows whether that is due, and not under its lock.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            _exit.Unregister();
        }

        Interlocked.Exchange(ref _acquirerProcess, null)?.Dispose();
        if (Interlocked.Exchange(ref _descriptor, null) is { } descriptor)
        {
            descriptor.Dispose();
            _share.Release(1);
        }

        _closed.Cancel();
    }

    private CancellationTokenRegistration Watch(CancellationToken exited) => exited.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _exited);
}
