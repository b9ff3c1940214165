using System.CommandLine;
using BarBroker.Hosting;
using BarBroker.Policy;

namespace BarBroker.Commands;

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    public static Option<string> Config() => new("--config")
    {
        Description = "The policy file.",
        HelpName = "FILE",
        Required = true,
    };

    public static Option<string> AdminSocket() => new("--socket")
    {
        Description = "The broker's admin socket.",
        HelpName = "PATH",
        DefaultValueFactory = _ => Path.Combine(PolicyReader.DefaultRuntimeDirectory, BrokerHost.AdminSocketName),
    };
}
