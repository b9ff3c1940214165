using Spectre.Console;

namespace BarBroker.Commands;

/// <summary>Standard output, as the commands write to it.</summary>
internal static class Terminal
{
    /// <summary>With colours only for people: not through a pipe, nor into a file, nor for those who set NO_COLOR.</summary>
    public static IAnsiConsole Create()
    {
        bool plain = Console.IsOutputRedirected || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        return AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = plain ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = plain ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
            Interactive = InteractionSupport.No,
        });
    }
}
