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
                watcher.Changes.Writer.TryWrite(status);
            }
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
            watcher.Changes.Writer.TryWrite(_statuses.TryGetValue(service, out ServingStatus status) ? status : ServingStatus.ServiceUnknown);
        }

        try
        {
            await foreach (ServingStatus status in watcher.Changes.Reader.ReadAllAsync(cancellationToken))
            {
                yield return status;
            }
        }
        finally
        {
            lock (_gate)
            {
                HashSet<Watcher> watchers = _watchers[service];
                watchers.Remove(watcher);
                if (watchers.Count == 0)
                {
                    _watchers.Remove(service);
                }
            }
        }
    }

    /// <summary>Compared by reference: peers make as many as they have calls, and end them in any order.</summary>
    private sealed class Watcher
    {
        internal Channel<ServingStatus> Changes { get; } =
            Channel.CreateBounded<ServingStatus>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
    }
}
