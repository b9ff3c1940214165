namespace BarBroker.Fuzz.Targets;

/// <summary>A target without state.</summary>
internal sealed class ParserTarget(string name, Action<byte[]> run) : IFuzzTarget
{
    public string Name => name;

    public ValueTask RunAsync(byte[] input)
    {
        run(input);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
