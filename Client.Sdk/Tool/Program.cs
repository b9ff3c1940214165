using System.CommandLine;
using BarBroker.Tool;

RootCommand root = new("Leases parts of a PCI device's BARs for programs that know nothing of the broker.") { RunCommand.Create() };

// A program's arguments are its own: no @FILE among them is read.
ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
int status = await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
return parsed.Errors.Count > 0 ? ExitCodes.Failure : status;
