using System.Globalization;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// How long to wait for what must happen: long enough for an emulated machine, reached only by failures. BAR_BROKER_VM_SLOWNESS says
/// how many times slower than others a machine is.
/// </summary>
internal static class Patience
{
    internal static readonly TimeSpan Limit = TimeSpan.FromMinutes(4) * Slowness;

    /// <summary>For limits that are a promise of the broker's: on a kernel that checks everything it can keep them only by so much.</summary>
    internal static double Slowness => double.Parse(Environment.GetEnvironmentVariable("BAR_BROKER_VM_SLOWNESS") ?? "1", CultureInfo.InvariantCulture);

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
