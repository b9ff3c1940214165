namespace BarBroker.Fuzz.Targets;

/// <summary>What takes bytes from a stranger, and must bear any.</summary>
internal interface IFuzzTarget : IAsyncDisposable
{
    /// <summary>Lower-case, with hyphens: also the name of its folder of inputs.</summary>
    string Name { get; }

    /// <summary>Gives it one input.</summary>
    /// <exception cref="FuzzFault">It did something that it must not.</exception>
    /// <remarks>Any other exception is a fault, too.</remarks>
    ValueTask RunAsync(byte[] input);
}

/// <summary>A rule was broken.</summary>
internal sealed class FuzzFault(string message, Exception? cause = null) : Exception(message, cause);
