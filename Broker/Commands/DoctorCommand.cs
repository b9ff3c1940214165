using System.CommandLine;
using System.CommandLine.Parsing;
using BarBroker.Devices;
using BarBroker.Hosting;
using BarBroker.Hosting.Doctor;
using BarBroker.Policy;

namespace BarBroker.Commands;

/// <summary><c>bar-broker doctor</c>: says what on this machine is in the way of leases, and what to do about it.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        Option<string?> config = new("--config") { Description = "Look at what this policy names: devices and how it fits them, group, runtime directory.", HelpName = "FILE" };
        Argument<PciAddress[]> functions = new("BDF")
        {
            Description = "PCI functions to look at, as 0000:01:00.0. One that nobody uses is opened, which resets it.",
            Arity = ArgumentArity.ZeroOrMore,
            CustomParser = ParseFunctions,
        };
        Command command = new("doctor", "Check what this machine lacks to lease devices, and say what to do about it.") { config, functions };
        command.SetAction(parsed => Run(parsed.GetValue(config), parsed.GetValue(functions) ?? [], new Machine(), new Probe(), Console.Out, Console.Error));
        return command;
    }

    internal static int Run(string? policyPath, IReadOnlyList<PciAddress> functions, Machine machine, IProbe probe, TextWriter output, TextWriter errors)
    {
        Examination examination;
        try
        {
            examination = policyPath is null
                ? new Examination([], new ClientGroup(PolicyReader.DefaultClientGroup, null), NeedsHardware: true)
                : Examination.Of(PolicyFile.Load(policyPath, mustBePrivate: Environment.IsPrivilegedProcess), policyPath, machine);
        }
        catch (PolicyException exception)
        {
            errors.WriteLine(exception.Message);
            return ExitCodes.Invalid;
        }

        examination = examination with
        {
            Functions = [.. examination.Functions.Union(functions)],
            NeedsHardware = examination.NeedsHardware || functions.Count > 0,
        };
        return Print(examination.Run(machine, probe), output);
    }

    private static int Print(IEnumerable<Finding> findings, TextWriter output)
    {
        int failures = 0;
        int warnings = 0;
        bool unfit = false;

        // Line by line as they come: opening a device can take its time.
        foreach (Finding finding in findings)
        {
            string verdict = finding.Verdict switch
            {
                Verdict.Ok => "ok",
                Verdict.Warning => "warn",
                _ => "FAIL",
            };
            output.WriteLine($"{verdict,-5}{finding.Subject,-14}{finding.Text}");
            failures += finding.Verdict is Verdict.Failure or Verdict.UnfitKernel ? 1 : 0;
            unfit |= finding.Verdict == Verdict.UnfitKernel;
            warnings += finding.Verdict == Verdict.Warning ? 1 : 0;
        }

        output.WriteLine(failures == 0 ? $"Nothing is in the way, {warnings} warning(s)." : $"{failures} thing(s) in the way, {warnings} warning(s).");
        return unfit ? ExitCodes.UnfitKernel : failures == 0 ? ExitCodes.Success : ExitCodes.Failure;
    }

    private static PciAddress[] ParseFunctions(ArgumentResult result)
    {
        List<PciAddress> functions = [];
        foreach (string text in result.Tokens.Select(token => token.Value))
        {
            if (PciAddress.TryParse(text, out PciAddress function))
            {
                functions.Add(function);
            }
            else
            {
                result.AddError($"'{text}' is no PCI address: it is written in full, as 0000:01:00.0; lspci -D lists them.");
            }
        }

        return [.. functions];
    }
}
