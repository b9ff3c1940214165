using System.Collections.Immutable;
using System.Diagnostics.Metrics;

namespace BarBroker.Transport.Counting;

/// <summary>Shows how many there are of something, by one tag.</summary>
internal sealed class Gauge
{
    private readonly string _name;
    private readonly string _unit;
    private readonly string _tag;
    private ImmutableArray<(string TagValue, Func<long> Read)> _sources = [];

    internal Gauge(Meter meter, string name, string unit, string tag, string description)
    {
        _name = name;
        _unit = unit;
        _tag = tag;
        meter.CreateObservableUpDownCounter(name, Measure, unit, description);
    }

    internal void Show(string tagValue, Func<long> read) => ImmutableInterlocked.Update(ref _sources, static (sources, source) => sources.Add(source), (tagValue, read));

    internal IEnumerable<Reading> Read() => _sources.Select(source => new Reading(_name, _unit, _tag, source.TagValue, source.Read()));

    private IEnumerable<Measurement<long>> Measure() => _sources.Select(
        source => new Measurement<long>(source.Read(), new KeyValuePair<string, object?>(_tag, source.TagValue)));
}
