using System.Threading.Channels;

namespace BarBroker.Tests.Leases;

/// <summary>A place where calls stop while it is closed, so that a test can act in between. Open at first.</summary>
internal sealed class Gate
{
    private readonly Channel<TaskCompletionSource> _waiting = Channel.CreateUnbounded<TaskCompletionSource>();
    private volatile bool _closed;

    public void Close() => _closed = true;

    /// <summary>Waits until a call has come to the gate; completing the result lets it on.</summary>
    public async Task<TaskCompletionSource> ArrivalAsync() => await _waiting.Reader.ReadAsync(TestContextToken);

    /// <summary>Lets on everybody who waits, and all who come.</summary>
    public void Open()
    {
        _closed = false;
        while (TryLetOneOn())
        {
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
        if (!_closed)
        {
            return Task.CompletedTask;
        }

        TaskCompletionSource call = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Writer.TryWrite(call);
        return call.Task;
    }

    private static CancellationToken TestContextToken => Xunit.TestContext.Current.CancellationToken;
}
