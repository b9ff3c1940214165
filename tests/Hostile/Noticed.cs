using BarBroker.Benchmarks;

namespace BarBroker.Hostile;

/// <summary>What the well-behaved client noticed in the slices of one sort.</summary>
internal sealed class Noticed
{
    internal Samples Calls { get; } = new();

    internal Samples Leases { get; } = new();

    internal Samples Connections { get; } = new();

    /// <summary>Of the broker's, on all processors: what the attack costs it, whatever else the machine does.</summary>
    internal TimeSpan ProcessorTime { get; set; }

    /// <summary>In all slices.</summary>
    internal TimeSpan Duration { get; set; }

    /// <summary>What did not work at all.</summary>
    internal int Failures { get; set; }
}
