using System.CommandLine;
using BarBroker.Client;

namespace BarBroker.Tool;

/// <summary><c>bar-lease run</c>: a program that finds leases among its descriptors.</summary>
internal static class RunCommand
{
    private const string Description = """
        Lease windows, and run a program that finds them as its descriptors 3, 4, ... (LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID: sd_listen_fds(3)), to mmap.

        The leases last as long as the program, and are given back when it ends. When one of them ends earlier, this is said on standard error; the
        program's next access to its mapping is a SIGBUS. INT, TERM, HUP, QUIT, USR1 and USR2 are passed on. When bar-lease itself is killed, the
        broker ends the leases at once, and the program runs on without them.

        Exit status: the program's; 128 + n when signal n ended it; 125 when there is no lease; 126 and 127 when the program can't be run, or isn't there.
        """;

    public static Command Create()
    {
        Option<string> device = new("--device") { Description = "The device's name in the policy.", HelpName = "NAME", Required = true };
        Option<string[]> windows = new("--window")
        {
            Description = "A window's name in the policy; several times for several windows, in the order of their descriptors.",
            HelpName = "NAME",
            Required = true,
            Arity = ArgumentArity.OneOrMore,
        };
        Option<string[]> names = new("--name")
        {
            Description = "What LISTEN_FDNAMES calls a descriptor, as often as --window. [default: the windows' names]",
            HelpName = "NAME",
        };
        Option<string> access = new("--access") { Description = "What is to be done with the memory.", DefaultValueFactory = _ => "read-write" };
        access.AcceptOnlyFromAmong("read-only", "read-write");
        Option<string> onEnd = new("--on-end") { Description = "The signal for the program when a lease ends before it does.", DefaultValueFactory = _ => "none" };
        onEnd.AcceptOnlyFromAmong("none", "TERM", "KILL");
        Option<string> socket = new("--socket")
        {
            Description = "The broker's socket.",
            HelpName = "PATH",
            DefaultValueFactory = _ => BarBrokerClient.DefaultSocketPath,
        };
        Argument<string[]> program = new("PROGRAM") { Description = "What to run, with its arguments; put -- before it.", Arity = ArgumentArity.OneOrMore };

        Command command = new("run", Description) { device, windows, names, access, onEnd, socket, program };
        command.SetAction(parsed => RunAsync(() => new RunOptions(
            parsed.GetRequiredValue(socket),
            parsed.GetRequiredValue(device),
            parsed.GetRequiredValue(windows),
            parsed.GetValue(names) ?? [],
            parsed.GetRequiredValue(access) == "read-only" ? LeaseAccess.ReadOnly : LeaseAccess.ReadWrite,
            parsed.GetRequiredValue(onEnd) switch { "TERM" => RunOptions.Terminate, "KILL" => RunOptions.Kill, _ => null },
            parsed.GetRequiredValue(program))));
        return command;
    }

    private static async Task<int> RunAsync(Func<RunOptions> options)
    {
        try
        {
            return await LeasedProgram.RunAsync(options());
        }
        catch (FailureException exception)
        {
            StandardError.WriteLine(exception.Message);
            return exception.ExitCode;
        }
    }
}
