using System.Globalization;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// How long to wait for what must happen: long enough for an emulated machine, reached only by failures. BAR_BROKER_PATIENCE, in
/// seconds, is for machines that are slower still.
/// </summary>
internal static class Patience
{
    internal static readonly TimeSpan Limit = Environment.GetEnvironmentVariable("BAR_BROKER_PATIENCE") is { } seconds
        ? TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture))
        : TimeSpan.FromMinutes(4);

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    /// <summary>Looks again and again until <paramref name="condition"/> holds. For what the kernel announces to nobody.</summary>
    internal static async Task UntilAsync(Func<bool> condition, Func<string> complaint)
    {
        using CancellationTokenSource limit = new(Limit);
        while (!condition())
        {
            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException($"After {Limit.TotalSeconds:0} s: {complaint()}");
            }

            await Task.Delay(Interval);
        }
    }
}
