using System.Collections.Immutable;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>A PCI function that VFIO gave to the broker, leased through the bar_lease module. <see cref="VfioDeviceOpener"/> makes them.</summary>
/// <remarks>
/// When the kernel wants the function back, the order is: no new exports, <see cref="Gone"/> is cancelled, the owner revokes what it knows
/// of, then disposes. The kernel's unplug or unbind waits until then; it is told again every few seconds.
/// Exports and whatever changes the function's state share one thread, so that nothing is ever exported in low power or during a reset.
/// Bus mastering is off: VFIO clears it when it opens a function, and nothing here turns it on.
/// </remarks>
public sealed partial class VfioBarDevice : IControlledDevice
{
    /// <summary>The module bounds its own waits; this is for what is queued before them.</summary>
    internal static readonly TimeSpan RevokeTimeout = TimeSpan.FromSeconds(15);

    private readonly Lock _lock = new();
    private readonly HashSet<LeaseId> _live = [];
    private readonly CancellationTokenSource _gone = new();
    private readonly IVfioFunction _function;
    private readonly ILeaseSession _session;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly EventFd _request = new();

    // Two, so that a reset or an export which the kernel holds up does not hold up a revocation.
    private readonly DeviceThread _work;
    private readonly DeviceThread _revocations;
    private readonly TaskCompletionSource _given = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _closed;
    private bool _toldNotVerified;

    /// <summary>Takes over <paramref name="function"/>, when it does not throw; <paramref name="session"/> stays the caller's and outlives the device.</summary>
    /// <exception cref="InvalidDataException">The function's configuration space makes no sense.</exception>
    /// <exception cref="UnixException">VFIO refused to describe it.</exception>
    internal VfioBarDevice(string name, PciAddress address, IVfioFunction function, ILeaseSession session, ILogger logger, TimeProvider time)
    {
        Name = name;
        Address = address;
        _function = function;
        _session = session;
        _logger = logger;
        _time = time;
        try
        {
            Bars = function.ReadBars();
            function.RaiseOnRequest(_request);
        }
        catch
        {
            _request.Dispose();
            _gone.Dispose();
            throw;
        }

        Gone = _gone.Token;
        _work = new DeviceThread($"work {name}", ReportOverdue, ReportReturned, time);
        _revocations = new DeviceThread($"revoke {name}", ReportOverdue, ReportReturned, time);
        new Thread(WatchForRequest) { IsBackground = true, Name = $"watch {name}" }.Start();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public PciAddress? Address { get; }

    /// <inheritdoc/>
    public ImmutableArray<BarGeometry> Bars { get; }

    /// <inheritdoc/>
    public bool CanOverlap => true;

    /// <inheritdoc/>
    public int MaxRanges => _session.MaxRanges;

    /// <inheritdoc/>
    public CancellationToken Gone { get; }

    /// <inheritdoc/>
    public Task GivenBack => _given.Task;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The ranges are none, of several BARs, out of bounds, reserved, or too many for the module; or the options contradict each other.</exception>
    /// <exception cref="ObjectDisposedException">The device was closed.</exception>
    /// <exception cref="DeviceStuckException">The kernel does not return from an earlier call.</exception>
    public Task<ExportedLease> ExportAsync(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options)
    {
        ExportCheck.ThrowIfImpossible(Bars, ranges, options);
        if (ranges.Length > _session.MaxRanges)
        {
            throw new ArgumentException($"{ranges.Length} ranges are more than the {_session.MaxRanges} that the bar_lease module takes for a lease.", nameof(ranges));
        }

        ThrowIfUnavailable();

        // What hangs comes first, as in DeviceCondition.State: a suspension that hangs is not over for a ResumeDevice.
        ThrowIfStuck();
        ThrowIfSuspended();
        if (MemoryTypeFor(options.MemoryType) is null)
        {
            throw new MemoryTypeUnavailableException(Name, "its bar_lease module makes no such leases. The administrator can install the module that comes with the broker, or grant uncached memory.");
        }

        return RunWorkAsync("export", () => Export(id, holder, ranges, options));
    }

    /// <inheritdoc/>
    public MemoryType? MemoryTypeFor(MemoryType wanted) => ((_session.MemoryTypes >> (int)BarLeaseUapi.FromMemoryType(wanted)) & 1) != 0 ? wanted : null;

    /// <inheritdoc/>
    public async Task RevokeAsync(ImmutableArray<LeaseId> ids)
    {
        if (ids.IsEmpty)
        {
            return;
        }

        try
        {
            await RevokeOrBeClosedAsync(ids).WaitAsync(RevokeTimeout, _time);
        }
        catch (TimeoutException exception)
        {
            _logger.RevocationUnconfirmed(exception, Name, ids.Length);
            throw new RevocationUnconfirmedException(Name, ids, exception);
        }
    }

    /// <summary>Ends what leases there still are and gives the function back to the kernel.</summary>
    /// <exception cref="RevocationUnconfirmedException">Not all leases are confirmed to have ended; the function was given back all the same, which takes them from their holders too.</exception>
    public async ValueTask DisposeAsync()
    {
        ImmutableArray<LeaseId> all;
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            all = [.. _live];

            // Wakes the watcher, which takes this lock before it closes what it waits on.
            _request.Signal();
        }

        _work.Dispose();
        try
        {
            await RevokeAsync(all);
        }
        finally
        {
            await CloseInTimeAsync();
        }
    }

    /// <summary>What the session's refusal of an export means.</summary>
    internal static Exception ToExportFailure(string device, uint holder, UnixException exception, MemoryType wanted)
    {
        return exception.Errno switch
        {
            Errno.Again => new DeviceSuspendedException(device, exception),
            Errno.NoDevice => new DeviceGoneException(device, exception),
            Errno.QuotaExceeded => new LeaseQuotaException(device, holder, exception),
            Errno.NotSupported when wanted == MemoryType.WriteCombining => new MemoryTypeUnavailableException(device, "this machine has no such memory. The administrator can grant uncached memory.", exception),
            _ => exception,
        };
    }

    private ExportedLease Export(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options)
    {
        // Things may have changed while this waited for its turn.
        ThrowIfUnavailable();
        ThrowIfSuspended();

        // The session keeps what it needs of vfio-pci's DMABUF; nobody else ever sees it. What VFIO refuses is told as it is: its error
        // numbers mean other things than the session's (ENODEV: a BAR that could not be claimed).
        using OwnedDescriptor dmabuf = _function.ExportDmaBuf(ranges);
        SessionLease lease;
        try
        {
            lease = _session.Export(id, holder, Address!.Value, ranges, options, dmabuf);
        }
        catch (UnixException exception)
        {
            throw ToExportFailure(Name, holder, exception, options.MemoryType);
        }

        bool usable = lease.MemoryType == BarLeaseUapi.FromMemoryType(options.MemoryType);
        bool kept;
        lock (_lock)
        {
            // In any case, so that the function's close asks again for one that can't be ended at once.
            kept = _live.Add(id) && usable && !_closed;
        }

        if (!kept)
        {
            lease.Descriptor.Dispose();
            EndUnused(id);
            ObjectDisposedException.ThrowIf(_closed, this);
            throw new InvalidOperationException($"Device '{Name}': the module made a lease of memory type {lease.MemoryType}, which nobody asked for.");
        }

        TellWhenNotVerified(lease);
        return new ExportedLease(lease.Descriptor, options.MemoryType);
    }

    /// <summary>A lease whose descriptor nobody got: the kernel's failure to end it leaves nobody with memory.</summary>
    private void EndUnused(LeaseId id)
    {
        try
        {
            Revoke([id]);
        }
        catch (RevocationUnconfirmedException)
        {
            // The log has it.
        }
    }

    private Task RevokeOrBeClosedAsync(ImmutableArray<LeaseId> ids)
    {
        try
        {
            return _revocations.RunAsync("revoke", () => Revoke(ids));
        }
        catch (ObjectDisposedException)
        {
            // The function is closed, and nobody reaches it through any lease.
            return _given.Task;
        }
    }

    private bool Revoke(ImmutableArray<LeaseId> ids)
    {
        ImmutableArray<LeaseId> left = [];
        UnixException? failure = null;
        try
        {
            _session.Revoke(ids.AsSpan());
        }
        catch (UnixException exception)
        {
            failure = exception;
            left = FindListed(ids);
        }

        lock (_lock)
        {
            _live.ExceptWith(ids.Except(left));
        }

        if (left.IsEmpty)
        {
            return true;
        }

        _logger.RevocationUnconfirmed(failure!, Name, left.Length);
        throw new RevocationUnconfirmedException(Name, left, failure);
    }

    /// <summary>
    /// Those that the session still has, after a revocation that failed: what it does not list any more is confirmed. In whatever state one
    /// is listed, its end is not; all are, where the list can't be had.
    /// </summary>
    private ImmutableArray<LeaseId> FindListed(ImmutableArray<LeaseId> ids)
    {
        try
        {
            HashSet<LeaseId> listed = [.. _session.List().Select(lease => lease.Id)];
            return [.. ids.Where(listed.Contains)];
        }
        catch (Exception exception) when (exception is UnixException or InvalidDataException)
        {
            _logger.ListFailed(exception, Name);
            return ids;
        }
    }

    private async Task CloseInTimeAsync()
    {
        Task closing = CloseAsync();
        try
        {
            await closing.WaitAsync(RevokeTimeout, _time);
        }
        catch (TimeoutException)
        {
            // The watchdog has said which call is stuck. The function is closed when it returns, and by the kernel if this process ends before.
        }
    }

    private async Task CloseAsync()
    {
        // A call that is under way keeps the descriptor open.
        await _work.Ended;
        await _revocations.RunAsync("close", CloseFunction);
        _revocations.Dispose();
        _given.SetResult();
    }

    private bool CloseFunction()
    {
        _function.Dispose();
        _logger.Closed(Name, Address!.Value);
        ForgetUnconfirmed();
        return true;
    }

    /// <summary>Lets the module drop what it could not confirm before: nothing is left to wait for.</summary>
    private void ForgetUnconfirmed()
    {
        ImmutableArray<LeaseId> left;
        lock (_lock)
        {
            left = [.. _live];
        }

        try
        {
            if (!left.IsEmpty)
            {
                Revoke(left);
            }
        }
        catch (RevocationUnconfirmedException)
        {
            // The log has it.
        }
    }

    private void WatchForRequest()
    {
        while (true)
        {
            _request.Wait();
            if (_closed)
            {
                lock (_lock)
                {
                    _request.Dispose();
                }

                return;
            }

            if (_gone.IsCancellationRequested)
            {
                _logger.StillRequested(Name, Address!.Value);
            }
            else
            {
                _logger.Requested(Name, Address!.Value);
                Change(condition => condition with { IsGone = true });
                _ = AnnounceAsync();
            }
        }
    }

    private async Task AnnounceAsync()
    {
        try
        {
            // On the thread pool: this thread goes on watching, whatever those who are told do.
            await _gone.CancelAsync();
        }
        catch (AggregateException exception)
        {
            _logger.GoneHandlerFailed(exception, Name);
        }
    }

    private void ThrowIfUnavailable()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_gone.IsCancellationRequested)
        {
            throw new DeviceGoneException(Name);
        }
    }

    private void TellWhenNotVerified(SessionLease lease)
    {
        if (!lease.Verified && !_toldNotVerified)
        {
            _toldNotVerified = true;
            _logger.NotVerified(Name);
        }
    }
}
