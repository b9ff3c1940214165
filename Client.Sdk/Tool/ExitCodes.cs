namespace BarBroker.Tool;

/// <summary>What bar-lease ends with when it isn't the program's own status, as env(1) and timeout(1) have it.</summary>
internal static class ExitCodes
{
    /// <summary>There is no lease, or the command line can't be right.</summary>
    public const int Failure = 125;

    /// <summary>The program is there and can't be run.</summary>
    public const int NotExecutable = 126;

    /// <summary>There is no such program.</summary>
    public const int NotFound = 127;

    /// <summary>Signal n ended the program: this and n.</summary>
    public const int Signalled = 128;
}
