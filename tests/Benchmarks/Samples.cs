using System.Diagnostics;
using System.Globalization;

namespace BarBroker.Benchmarks;

/// <summary>Durations of one operation, and their percentiles.</summary>
internal sealed class Samples
{
    private readonly List<double> _nanoseconds = [];

    internal int Count => _nanoseconds.Count;

    internal async Task MeasureAsync(Func<Task> operation)
    {
        long start = Stopwatch.GetTimestamp();
        await operation();
        AddTicks(Stopwatch.GetTimestamp() - start);
    }

    internal void AddTicks(long ticks) => AddNanoseconds(ticks * 1e9 / Stopwatch.Frequency);

    internal void AddNanoseconds(double nanoseconds) => _nanoseconds.Add(nanoseconds);

    internal double PercentileNanoseconds(double percentile)
    {
        List<double> sorted = [.. _nanoseconds.Order()];
        int index = Math.Clamp((int)Math.Ceiling(percentile / 100 * sorted.Count) - 1, 0, sorted.Count - 1);
        return sorted[index];
    }

    internal void Print(string name)
    {
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"bench {name} p50_us={PercentileNanoseconds(50) / 1000:0.0} p99_us={PercentileNanoseconds(99) / 1000:0.0} calls={Count}"));
    }

    /// <summary>How many times as long these take as <paramref name="others"/>, at both percentiles.</summary>
    internal void PrintRatio(string name, Samples others)
    {
        double ratio50 = PercentileNanoseconds(50) / others.PercentileNanoseconds(50);
        double ratio99 = PercentileNanoseconds(99) / others.PercentileNanoseconds(99);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"bench {name} p50_ratio={ratio50:0.00} p99_ratio={ratio99:0.00}"));
    }
}
