namespace BarBroker.Fuzz.Targets;

/// <summary>All of them.</summary>
internal static class FuzzTargets
{
    internal static IReadOnlyDictionary<string, Func<IFuzzTarget>> All { get; } = new Func<IFuzzTarget>[]
    {
        static () => new ParserTarget("message-frame", WireTargets.ReadFrames),
        static () => new ParserTarget("timeout", WireTargets.ReadTimeout),
        static () => new ParserTarget("percent", WireTargets.DecodePercent),
        static () => new ParserTarget("binary-header", WireTargets.ReadBinaryHeader),
        static () => new ParserTarget("metadata", WireTargets.AddMetadata),
        static () => new ParserTarget("ticket-preface", RequestTargets.ReadTicketPreface),
        static () => new ParserTarget("reflection", RequestTargets.AnswerReflection),
        static () => new ParserTarget("acquire-request", RequestTargets.ReadAcquire),
        static () => new ParserTarget("policy", RequestTargets.ReadPolicy),
        static () => new ServerTarget(),
        static () => new ClientTarget(),
    }.ToDictionary(static make => NameOf(make), StringComparer.Ordinal);

    private static string NameOf(Func<IFuzzTarget> make)
    {
        // They start nothing before their first input.
        return make().Name;
    }
}
