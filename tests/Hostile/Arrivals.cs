using System.Diagnostics;
using System.Runtime.InteropServices;
using BarBroker.Benchmarks;

namespace BarBroker.Hostile;

/// <summary>Operations that begin at a fixed rate, whether those before have ended or not.</summary>
/// <param name="interval">From one to the next.</param>
/// <param name="operation">Returns when it was done, by <see cref="Stopwatch"/>.</param>
internal sealed partial class Arrivals(TimeSpan interval, Func<Task<long>> operation)
{
    private const int Monotonic = 1;
    private const int Absolute = 1;

    private readonly long _interval = (long)(interval.TotalSeconds * Stopwatch.Frequency);
    private readonly List<(long Due, Task<long> Done)> _begun = [];
    private long _due;

    /// <summary>Begins each of them when it is due, on a thread of its own, which the pool can't keep waiting.</summary>
    internal static void RunAll(Arrivals[] all, TimeSpan duration)
    {
        Thread thread = new(() =>
        {
            long start = Stopwatch.GetTimestamp();
            foreach (Arrivals arrivals in all)
            {
                arrivals._due = start + arrivals._interval;
            }

            while (all.MinBy(static arrivals => arrivals._due) is { } next && Stopwatch.GetElapsedTime(start, next._due) < duration)
            {
                SleepUntil(next._due);
                next._begun.Add((next._due, next.BeginAsync()));
                next._due += next._interval;
            }
        });
        thread.Start();
        thread.Join();
    }

    /// <summary>Waits for those that are under way, and tells how long all took from when they were due.</summary>
    /// <returns>How many failed.</returns>
    internal async Task<int> EndAsync(Samples samples)
    {
        int failed = 0;
        foreach ((long due, Task<long> done) in _begun)
        {
            try
            {
                samples.AddTicks(await done - due);
            }
            catch (Exception exception)
            {
                if (failed++ == 0)
                {
                    Console.Error.WriteLine(exception);
                }
            }
        }

        return failed;
    }

    /// <summary>What it throws at once is its failure as well.</summary>
    private async Task<long> BeginAsync() => await operation();

    /// <summary>clock_nanosleep(2): a millisecond, which is the runtime's own measure, is several times what a call takes.</summary>
    private static void SleepUntil(long timestamp)
    {
        (long seconds, long nanoseconds) = Math.DivRem(timestamp, Stopwatch.Frequency);
        while (Sleep(Monotonic, Absolute, [seconds, nanoseconds], 0) != 0)
        {
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_nanosleep")]
    private static partial int Sleep(int clock, int flags, ReadOnlySpan<long> time, nint remaining);
}
