namespace BarBroker.Hostile.Attacks;

/// <summary>One way to do harm.</summary>
/// <param name="name">What it is called in the results.</param>
/// <param name="counter">The broker's counter that shows it happening.</param>
/// <param name="kinds">The counter's kinds of which one at least must move.</param>
internal abstract class Attack(string name, string counter, params string[] kinds)
{
    internal string Name => name;

    /// <summary>Without the prefix that all have.</summary>
    internal string Counter => counter;

    internal IReadOnlyCollection<string> Kinds => kinds;

    /// <summary>It goes on under a user who is refused: that is what it is about.</summary>
    internal virtual bool IsAboutRefusals => false;

    /// <summary>Does harm for a moment. Is called again and again.</summary>
    internal abstract void Strike(string socket);

    /// <summary>Gives up what it holds.</summary>
    internal virtual void Rest()
    {
    }
}
