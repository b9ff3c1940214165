using System.Diagnostics;
using System.Globalization;

namespace BarBroker.Benchmarks;

/// <summary>Durations of one operation, and their percentiles.</summary>
internal sealed class Samples
{
    private readonly List<long> _ticks = [];

    internal int Count => _ticks.Count;

    internal async Task MeasureAsync(Func<Task> operation)
    {
        long start = Stopwatch.GetTimestamp();
        await operation();
        _ticks.Add(Stopwatch.GetTimestamp() - start);
    }

    internal void Add(long ticks) => _ticks.Add(ticks);

    internal double PercentileNanoseconds(double percentile)
    {
        List<long> sorted = [.. _ticks.Order()];
        int index = Math.Clamp((int)Math.Ceiling(percentile / 100 * sorted.Count) - 1, 0, sorted.Count - 1);
        return sorted[index] * 1e9 / Stopwatch.Frequency;
    }

    internal void Print(string name)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"bench {name} p50_us={PercentileNanoseconds(50) / 1000:0.0} p99_us={PercentileNanoseconds(99) / 1000:0.0} calls={Count}"));
    }
}
