namespace BarBroker.EndToEnd.Harness;

/// <summary>For what the broker does on its own, soon after a connection or a process has ended.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <summary>Asks for a window until its range is no longer held.</summary>
    internal static async Task<ClientLease> AcquireAsync(Client client, string window)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        while (true)
        {
            try
            {
                return await client.AcquireAsync(window);
            }
            catch (ProbeException refused) when (refused.Error.Reason == "RANGE_LEASED" && !limit.IsCancellationRequested)
            {
                await Task.Delay(Interval);
            }
        }
    }
}
