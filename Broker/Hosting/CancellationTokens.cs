namespace BarBroker.Hosting;

/// <summary>Waiting for a token to be cancelled, where that is an event and no failure.</summary>
internal static class CancellationTokens
{
    /// <summary>Completes when <paramref name="token"/> is cancelled.</summary>
    /// <param name="token">What is waited for.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task UntilCancelledAsync(this CancellationToken token, CancellationToken cancellationToken)
    {
        TaskCompletionSource cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = token.UnsafeRegister(_ => cancelled.TrySetResult(), null);
        await cancelled.Task.WaitAsync(cancellationToken);
    }
}
