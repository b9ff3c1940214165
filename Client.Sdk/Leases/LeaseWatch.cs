using BarBroker.Client.Connection;
using BarBroker.Grpc;
using BarBroker.V1;

namespace BarBroker.Client.Leases;

/// <summary>
/// Keeps one Watch running on a connection, from the first need to the connection's end, and writes what it says into the book. The
/// book is closed after its last word, so that a broker's goodbye is not drowned by the hanging up. Without a Watch there are no leases to end.
/// </summary>
internal sealed class LeaseWatch(IBrokerConnection connection, LeaseBook book, TimeProvider time)
{
    /// <summary>
    /// Between two tries on a connection that lives. A Watch that ends there is a broker's fault, and it may need a moment to forget
    /// the old one.
    /// </summary>
    internal static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private Task? _started;

    /// <summary>
    /// Starts it if it doesn't run. Once this is complete, the end of any lease is heard of: an Acquire is sent after that.
    /// </summary>
    /// <exception cref="RpcException">The broker refuses; the next call tries again.</exception>
    public Task StartAsync()
    {
        lock (_lock)
        {
            if (_started is null or { IsFaulted: true })
            {
                TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _started = started.Task;
                _ = RunAsync(started);
            }

            return _started;
        }
    }

    private async Task RunAsync(TaskCompletionSource started)
    {
        while (!connection.Closed.IsCancellationRequested)
        {
            try
            {
                await WatchOnceAsync(started);
            }
            catch (Exception exception) when (!started.Task.IsCompleted)
            {
                // Whatever it is, it is the caller's: nobody else awaits this.
                started.TrySetException(exception);
                return;
            }
            catch (Exception)
            {
                // The connection's end, or a failure; the next Watch begins with a snapshot of what this one missed.
            }

            try
            {
                await Task.Delay(RetryDelay, time, connection.Closed);
            }
            catch (OperationCanceledException)
            {
                // The loop ends.
            }
        }

        book.Close();
        started.TrySetException(new RpcException(new Status(StatusCode.Unavailable, "The connection to the broker is over. Connect again.")));
    }

    private async Task WatchOnceAsync(TaskCompletionSource started)
    {
        ulong expected = 1;
        await foreach (WatchEvent change in connection.WatchAsync())
        {
            if (change.Sequence != expected++)
            {
                // Something is lost. A new Watch begins with a snapshot.
                return;
            }

            book.Apply(change);
            started.TrySetResult();
        }

        if (!started.Task.IsCompleted)
        {
            throw new RpcException(new Status(StatusCode.Internal, "The broker ended Watch before its snapshot."));
        }
    }
}
