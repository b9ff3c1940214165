using System.Threading.Channels;

namespace BarBroker.Tests.Leases;

/// <summary>A place where calls stop while it is closed, so that a test can act in between. Open at first.</summary>
internal sealed class Gate
{
    private readonly Lock _lock = new();
    private readonly Channel<TaskCompletionSource> _waiting = Channel.CreateUnbounded<TaskCompletionSource>();
    private bool _closed;

    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
        }
    }

    /// <summary>Waits until a call has come to the gate; completing the result lets it on.</summary>
    public async Task<TaskCompletionSource> ArrivalAsync() => await _waiting.Reader.ReadAsync(Xunit.TestContext.Current.CancellationToken);

    /// <summary>Lets on everybody who waits, and all who come.</summary>
    public void Open()
    {
        // Under the lock, as is the decision to wait: nobody can come to wait after the last was let on.
        lock (_lock)
        {
            _closed = false;
            while (TryLetOneOn())
            {
            }
        }
    }

    /// <summary>Lets on the one who has waited longest, if anybody does.</summary>
    public bool TryLetOneOn()
    {
        bool any = _waiting.Reader.TryRead(out TaskCompletionSource? call);
        call?.SetResult();
        return any;
    }

    public Task PassAsync()
    {
        lock (_lock)
        {
            if (!_closed)
            {
                return Task.CompletedTask;
            }

            TaskCompletionSource call = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Writer.TryWrite(call);
            return call.Task;
        }
    }
}
