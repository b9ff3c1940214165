using System.CommandLine;
using BarBroker.Commands;
using BarBroker.Hosting;

RootCommand root = new("Leases slices of a PCI device's BARs to unprivileged processes, and takes them back.\n\nExit status: 0 done, 1 something is in the way, 2 the command line or the policy can't be right, 3 the running kernel can't lease devices.")
{
    RunCommand.Create(),
    CheckCommand.Create(),
    StatusCommand.Create(),
    DoctorCommand.Create(),
};

ParseResult parsed = root.Parse(args);
int status = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
return parsed.Errors.Count > 0 ? ExitCodes.Invalid : status;
