using BarBroker.Client;

namespace BarBroker.Tool;

/// <summary>What to lease and what to run.</summary>
internal sealed class RunOptions
{
    public const int Kill = 9;
    public const int Terminate = 15;

    /// <summary>The most of a name, as sd_listen_fds_with_names(3) has it.</summary>
    private const int LongestName = 255;

    /// <exception cref="FailureException">The names can't be right.</exception>
    public RunOptions(string socketPath, string device, string[] windows, string[] names, LeaseAccess access, int? endSignal, string[] program)
    {
        SocketPath = socketPath;
        Device = device;
        Windows = windows;
        Names = names.Length == 0 ? windows : names;
        Access = access;
        EndSignal = endSignal;
        Program = program;
        CheckNames();
    }

    public string SocketPath { get; }

    public string Device { get; }

    /// <summary>In the order of their descriptors.</summary>
    public IReadOnlyList<string> Windows { get; }

    /// <summary>One for each window.</summary>
    public IReadOnlyList<string> Names { get; }

    public LeaseAccess Access { get; }

    /// <summary>For the program when a lease ends; null: none.</summary>
    public int? EndSignal { get; }

    /// <summary>The program and its arguments: the command line's last words.</summary>
    public IReadOnlyList<string> Program { get; }

    private void CheckNames()
    {
        if (Names.Count != Windows.Count)
        {
            throw new FailureException(
                ExitCodes.Failure, $"There are {Windows.Count} --window and {Names.Count} --name: give a name to each window, or to none.");
        }

        foreach (string name in Names)
        {
            if (name.Length is 0 or > LongestName || name.Any(character => character is < ' ' or > '~' or ':'))
            {
                throw new FailureException(
                    ExitCodes.Failure,
                    $"'{name}' can't be the name of a descriptor: that is 1 to {LongestName} printable ASCII characters without a colon. Give another with --name.");
            }
        }
    }
}
