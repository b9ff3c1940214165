using System.Globalization;
using BarBroker.Benchmarks;

namespace BarBroker.Hostile;

/// <summary>What the well-behaved client noticed of one attack, and whether the attack came to its limit.</summary>
internal sealed class Outcome(string attack)
{
    private const double MostRatio = 3;

    internal Noticed Quiet { get; } = new();

    internal Noticed Attacked { get; } = new();

    /// <summary>By how much the attack's counter moved.</summary>
    internal long LimitHits { get; set; }

    /// <summary>By how much the counter moved of reads that waited for what their user owes.</summary>
    internal long Slowed { get; set; }

    /// <summary>Under how many it was made.</summary>
    internal int Users { get; set; }

    internal bool IsGood => LimitHits + Slowed > 0
        && Quiet.Failures + Attacked.Failures == 0
        && Ratio(Quiet.Calls, Attacked.Calls) <= MostRatio
        && Ratio(Quiet.Leases, Attacked.Leases) <= MostRatio
        && Ratio(Quiet.Connections, Attacked.Connections) <= MostRatio;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"hostile {attack} {Compare("", Quiet.Calls, Attacked.Calls)} {Compare("lease_", Quiet.Leases, Attacked.Leases)} {Compare("connect_", Quiet.Connections, Attacked.Connections)} broker_cpu={Load(Quiet):0.00}/{Load(Attacked):0.00} failures={Quiet.Failures + Attacked.Failures} limit_hits={LimitHits} slowed={Slowed} users={Users}");

    private static string Compare(string what, Samples quiet, Samples attacked) => string.Create(
        CultureInfo.InvariantCulture,
        $"{what}p99_us={P99(quiet):0}/{P99(attacked):0} {what}ratio={Ratio(quiet, attacked):0.00}");

    /// <summary>Processors' worth.</summary>
    private static double Load(Noticed noticed) => noticed.ProcessorTime / noticed.Duration;

    private static double P99(Samples samples) => samples.PercentileNanoseconds(99) / 1000;

    private static double Ratio(Samples quiet, Samples attacked) => P99(attacked) / P99(quiet);
}
