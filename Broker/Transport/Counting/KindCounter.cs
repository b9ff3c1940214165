using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace BarBroker.Transport.Counting;

/// <summary>One number of the wire, as a collector or an admin sees it.</summary>
/// <param name="Name">The instrument's.</param>
/// <param name="Unit">What is counted, as UCUM writes it: <c>{connection}</c>.</param>
/// <param name="Tag">The tag that tells it from the others of its name.</param>
/// <param name="TagValue">Its value.</param>
/// <param name="Value">The number.</param>
internal readonly record struct Reading(string Name, string Unit, string Tag, string TagValue, long Value);

/// <summary>Counts what happens, by kind. Any thread may add; nothing is allocated.</summary>
/// <typeparam name="TKind">The kinds: an enum of values from 0 without gaps.</typeparam>
internal sealed class KindCounter<TKind>
    where TKind : struct, Enum
{
    /// <summary>The tag that all such counters have.</summary>
    internal const string Tag = "kind";

    private static readonly TKind[] Kinds = Enum.GetValues<TKind>();
    private static readonly string[] Names = [.. Kinds.Select(kind => JsonNamingPolicy.SnakeCaseLower.ConvertName(kind.ToString()))];

    private readonly string _name;
    private readonly string _unit;
    private readonly long[] _counts = new long[Kinds.Length];

    internal KindCounter(Meter meter, string name, string unit, string description)
    {
        _name = name;
        _unit = unit;
        meter.CreateObservableCounter(name, Measure, unit, description);
    }

    internal void Add(TKind kind, long count = 1) => Interlocked.Add(ref _counts[Unsafe.BitCast<TKind, int>(kind)], count);

    internal long this[TKind kind] => Volatile.Read(ref _counts[Unsafe.BitCast<TKind, int>(kind)]);

    internal IEnumerable<Reading> Read() => Kinds.Select((kind, index) => new Reading(_name, _unit, Tag, Names[index], this[kind]));

    private IEnumerable<Measurement<long>> Measure() => Kinds.Select(
        (kind, index) => new Measurement<long>(this[kind], new KeyValuePair<string, object?>(Tag, Names[index])));
}
