namespace BarBroker.Client;

public sealed partial class BarLease
{
    private readonly CancellationTokenSource _endAnnounced = new();
    private DateTimeOffset? _expireTime;
    private LeaseNotice? _notice;

    /// <summary>
    /// When it ends by itself, by this machine's clock as it was when the broker said so; null when it has no end of its own. The grant's
    /// <c>maxLeaseTime</c> or <see cref="AcquireOptions.LeaseTime"/> gives it one, and <see cref="RenewAsync"/> another.
    /// </summary>
    public DateTimeOffset? ExpireTime
    {
        get
        {
            lock (_lock)
            {
                return _expireTime;
            }
        }
    }

    /// <summary>
    /// Is cancelled when the broker says that it will end the lease; <see cref="Notice"/> says when. Until then the memory works: what has to be put in order
    /// is put in order, and the lease released. Not every end is announced.
    /// </summary>
    public CancellationToken EndAnnounced => _endAnnounced.Token;

    /// <summary>When and why the broker will end it; null when it did not announce that.</summary>
    public LeaseNotice? Notice
    {
        get
        {
            lock (_lock)
            {
                return _notice;
            }
        }
    }

    /// <summary>Has the lease live for some time from now on; one without an end of its own stays as it is.</summary>
    /// <param name="leaseTime">How long: more than 0, and cut to what the grant allows. Null: as long as it got when it was acquired.</param>
    /// <param name="cancellationToken">Stops waiting. The lease may be renewed all the same.</param>
    /// <returns><see cref="ExpireTime"/> as it is now.</returns>
    /// <exception cref="BarBroker.Grpc.RpcException">
    /// NOT_FOUND: it is over. FAILED_PRECONDITION with reason LEASE_ENDING: its end was announced, or has begun. RESOURCE_EXHAUSTED with TOO_MANY_RENEWALS: the
    /// grant allows no more. INVALID_ARGUMENT with LEASE_TIME_INVALID: it is longer than ten years. UNAVAILABLE: the connection is over.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="leaseTime"/> is not more than 0.</exception>
    public async Task<DateTimeOffset?> RenewAsync(TimeSpan? leaseTime = null, CancellationToken cancellationToken = default)
    {
        V1.RenewRequest request = new() { LeaseId = Id, LeaseTime = Leases.WireTypes.ToWire(leaseTime) };
        V1.Lease renewed = await _renewAtBroker(request).WaitAsync(cancellationToken);
        lock (_lock)
        {
            // An end that was announced meanwhile came after the renewal, whichever is heard of first.
            return _notice is null ? _expireTime = renewed.ExpireTime?.ToDateTimeOffset() : _expireTime;
        }
    }

    /// <summary>The broker will end it. A later word of the same is an earlier end.</summary>
    internal void Announce(LeaseNotice notice)
    {
        lock (_lock)
        {
            if (_endReason is not null || _notice?.EndTime <= notice.EndTime)
            {
                return;
            }

            _notice = notice;
            _expireTime = notice.EndTime;
        }

        // As in End.
        _ = _endAnnounced.CancelAsync();
    }
}
