using System.CommandLine;
using System.Globalization;
using BarBroker.Devices;
using BarBroker.Hosting;
using BarBroker.Policy;
using Spectre.Console;

namespace BarBroker.Commands;

/// <summary><c>bar-broker check</c>: validates a policy and shows what it says. Opens no device.</summary>
internal static class CheckCommand
{
    /// <summary>Where the README installs it.</summary>
    private const string DefaultFile = "/etc/bar-broker.jsonc";

    public static Command Create()
    {
        Option<string> config = new("--config") { Description = "The policy file.", HelpName = "FILE", DefaultValueFactory = _ => DefaultFile };
        ExplainOptions explain = new();
        Command command = new("check", "Validate a policy file and show what it says, or explain a decision. Touches no device.") { config };
        explain.AddTo(command);
        command.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(config);
            return parsed.GetValue(explain.Explain)
                ? Explain(path, explain.Read(parsed), parsed.GetValue(explain.Json), Console.Out, Console.Error)
                : Run(path, Terminal.Create(), Console.Error);
        });
        return command;
    }

    /// <summary>Fails where the policy denies it.</summary>
    internal static int Explain(string path, PolicyQuestion question, bool asJson, TextWriter output, TextWriter errors)
    {
        try
        {
            Explanation explanation = Explanation.Of(PolicyFile.Load(path, mustBePrivate: Environment.IsPrivilegedProcess), question);
            ExplanationView view = new(path);
            foreach (string line in asJson ? [view.ToJson(explanation)] : view.ToLines(explanation))
            {
                output.WriteLine(line);
            }

            return explanation.Decision is Granted ? ExitCodes.Success : ExitCodes.Failure;
        }
        catch (PolicyException exception)
        {
            errors.WriteLine(exception.Message);
            return ExitCodes.Invalid;
        }
    }

    internal static int Run(string path, IAnsiConsole output, TextWriter errors)
    {
        try
        {
            BrokerPolicy policy = PolicyFile.Load(path, mustBePrivate: Environment.IsPrivilegedProcess);
            if (!output.Profile.Out.IsTerminal)
            {
                // A pipe gets whole lines.
                output.Profile.Width = int.MaxValue;
            }

            Print(policy, output);
            return ExitCodes.Success;
        }
        catch (PolicyException exception)
        {
            errors.WriteLine(exception.Message);
            return ExitCodes.Invalid;
        }
    }

    private static void Print(BrokerPolicy policy, IAnsiConsole output)
    {
        output.WriteLine($"Sockets in {policy.RuntimeDirectory}, for group {policy.ClientGroup}.");
        foreach (DeviceDefinition device in policy.Devices)
        {
            output.WriteLine();
            output.WriteLine($"{device.Name}: {Describe(device.Source)}");
            if (device.Windows.IsEmpty)
            {
                output.WriteLine("  no windows");
            }

            foreach (Window window in device.Windows)
            {
                output.WriteLine($"  window {window.Name}: {window.Ranges}");
            }

            if (device.Grants.IsEmpty)
            {
                output.WriteLine("  no grants: nobody may lease any of it");
            }

            foreach (Grant grant in device.Grants)
            {
                output.WriteLine($"  {Describe(grant)}");
            }
        }

        if (!policy.Admins.IsEmpty)
        {
            output.WriteLine();
        }

        foreach (Admin admin in policy.Admins)
        {
            string devices = admin.Devices.IsEmpty ? "all devices" : string.Join(", ", admin.Devices);
            output.WriteLine($"{admin.Principal} may administrate {devices}: {admin.Scopes.ToString().ToLowerInvariant()}");
        }
    }

    private static string Describe(DeviceSource source) => source switch
    {
        PciSource pci => $"PCI function {pci.Address}",
        PciIdentitySource pci => $"PCI function {pci.Identity}",
        SimulatedSource simulated => $"simulated, {string.Join(", ", simulated.Bars.Select(bar => string.Create(CultureInfo.InvariantCulture, $"BAR {bar.Index} of 0x{bar.Size:x} bytes")))}",
        _ => source.ToString(),
    };

    private static string Describe(WindowSelector selector)
        => selector.IsPattern ? string.Create(CultureInfo.InvariantCulture, $"{selector.Text} ({selector.Windows.Length} {(selector.Windows.Length == 1 ? "window" : "windows")})") : selector.Text;

    private static string Describe(Grant grant)
    {
        IEnumerable<string> what = grant.Windows.Select(Describe).Concat(grant.Areas.Select(area => $"anything in {area.Range}"));
        string access = grant.Access == LeaseAccess.ReadWrite ? "read-write" : "read-only";
        string memory = grant.Memory == MemoryType.WriteCombining ? ", write-combining" : "";
        string p2p = grant.P2P ? ", peer-to-peer on request" : "";
        return $"{grant.Principal} may lease {string.Join(", ", what)}: {access}, {(grant.Exclusive ? "exclusive" : "shared")}{memory}{p2p}{Describe(grant.Limits)}";
    }

    private static string Describe(GrantLimits limits)
    {
        IEnumerable<string?> parts =
        [
            limits.MaxLeases is { } leases ? string.Create(CultureInfo.InvariantCulture, $"{leases} at a time") : null,
            limits.MaxBytes is { } bytes ? string.Create(CultureInfo.InvariantCulture, $"0x{bytes:x} bytes at a time") : null,
            limits.MaxLeaseTime is { } time ? $"for {Duration.Show(time)}" : null,
            limits.MaxRenewals is { } renewals ? string.Create(CultureInfo.InvariantCulture, $"renewed {renewals} times") : null,
        ];
        return string.Concat(parts.OfType<string>().Select(part => $", at most {part}"));
    }
}
