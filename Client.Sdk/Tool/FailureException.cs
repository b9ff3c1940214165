namespace BarBroker.Tool;

/// <summary>Why the program was not run.</summary>
/// <param name="exitCode">What to end with.</param>
/// <param name="message">For people: what is wrong, and what would be right.</param>
internal sealed class FailureException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
