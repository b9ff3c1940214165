using System.Globalization;
using BarBroker.Benchmarks;

namespace BarBroker.Hostile;

/// <summary>What the well-behaved client noticed of one attack, and whether the attack came to its limit.</summary>
internal sealed class Outcome(string attack)
{
    private const double MostRatio = 3;

    internal Samples QuietCalls { get; } = new();

    internal Samples QuietLeases { get; } = new();

    internal Samples AttackedCalls { get; } = new();

    internal Samples AttackedLeases { get; } = new();

    /// <summary>By how much the attack's counter moved.</summary>
    internal long LimitHits { get; set; }

    internal bool IsGood => LimitHits > 0 && Ratio(QuietCalls, AttackedCalls) <= MostRatio && Ratio(QuietLeases, AttackedLeases) <= MostRatio;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"hostile {attack} p99_quiet_us={P99(QuietCalls):0} p99_attacked_us={P99(AttackedCalls):0} ratio={Ratio(QuietCalls, AttackedCalls):0.00} lease_p99_quiet_us={P99(QuietLeases):0} lease_p99_attacked_us={P99(AttackedLeases):0} lease_ratio={Ratio(QuietLeases, AttackedLeases):0.00} calls={QuietCalls.Count}+{AttackedCalls.Count} limit_hits={LimitHits}");

    private static double P99(Samples samples) => samples.PercentileNanoseconds(99) / 1000;

    private static double Ratio(Samples quiet, Samples attacked) => P99(attacked) / P99(quiet);
}
