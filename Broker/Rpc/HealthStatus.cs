using System.Threading.Channels;
using BarBroker.Grpc.Health.V1;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Rpc;

/// <summary>Health by service: what grpc.health.v1.Health answers. Thread-safe.</summary>
public sealed class HealthStatus
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServingStatus> _statuses = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HashSet<Watcher>> _watchers = new(StringComparer.Ordinal);
    private int _untold;
    private TaskCompletionSource? _told;

    /// <summary>Sets one service's status, and tells its watchers.</summary>
    /// <param name="service">Full name such as <c>barbroker.v1.Broker</c>; empty for the server as a whole.</param>
    /// <param name="status">Serving or not.</param>
    public void Set(string service, ServingStatus status)
    {
        ArgumentNullException.ThrowIfNull(service);
        lock (_gate)
        {
            _statuses[service] = status;
            foreach (Watcher watcher in _watchers.GetValueOrDefault(service) ?? [])
            {
                Tell(watcher, status);
            }
        }
    }

    /// <summary>Completes once every watcher has passed on what was set before. One whose client does not read never does.</summary>
    internal Task WhenToldAsync()
    {
        lock (_gate)
        {
            return _untold == 0 ? Task.CompletedTask : (_told ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>A service's status; null for one that was never set.</summary>
    internal ServingStatus? Get(string service)
    {
        lock (_gate)
        {
            return _statuses.TryGetValue(service, out ServingStatus status) ? status : null;
        }
    }

    /// <summary>The status now, and then each change; a slow reader gets only the newest.</summary>
    internal async IAsyncEnumerable<ServingStatus> WatchAsync(
        string service, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Watcher watcher = new();
        lock (_gate)
        {
            if (!_watchers.TryGetValue(service, out HashSet<Watcher>? watchers))
            {
                _watchers[service] = watchers = [];
            }

            watchers.Add(watcher);
            Tell(watcher, _statuses.TryGetValue(service, out ServingStatus status) ? status : ServingStatus.ServiceUnknown);
        }

        try
        {
            await foreach (ServingStatus status in watcher.Changes.Reader.ReadAllAsync(cancellationToken))
            {
                yield return status;

                // The watcher comes back for more, so it has passed this on.
                lock (_gate)
                {
                    if (!watcher.Changes.Reader.TryPeek(out _))
                    {
                        SetUntold(watcher, untold: false);
                    }
                }
            }
        }
        finally
        {
            lock (_gate)
            {
                SetUntold(watcher, untold: false);
                HashSet<Watcher> watchers = _watchers[service];
                watchers.Remove(watcher);
                if (watchers.Count == 0)
                {
                    _watchers.Remove(service);
                }
            }
        }
    }

    private void Tell(Watcher watcher, ServingStatus status)
    {
        watcher.Changes.Writer.TryWrite(status);
        SetUntold(watcher, untold: true);
    }

    private void SetUntold(Watcher watcher, bool untold)
    {
        if (watcher.IsUntold == untold)
        {
            return;
        }

        watcher.IsUntold = untold;
        _untold += untold ? 1 : -1;
        if (_untold == 0)
        {
            _told?.SetResult();
            _told = null;
        }
    }

    /// <summary>Compared by reference: peers make as many as they have calls, and end them in any order.</summary>
    private sealed class Watcher
    {
        internal bool IsUntold { get; set; }

        internal Channel<ServingStatus> Changes { get; } =
            Channel.CreateBounded<ServingStatus>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
    }
}
