using System.CommandLine;
using BarBroker.Hosting;
using BarBroker.Policy;

namespace BarBroker.Commands;

/// <summary><c>bar-broker run</c>: the daemon.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        Option<string> config = CommonOptions.Config();
        Option<bool> verbose = new("--verbose") { Description = "Log what matters only when something is being looked for." };
        Command command = new("run", "Serve devices, in the foreground, until SIGTERM or SIGINT.") { config, verbose };
        command.SetAction(parsed => RunAsync(parsed.GetRequiredValue(config), parsed.GetValue(verbose)));
        return command;
    }

    private static async Task<int> RunAsync(string path, bool verbose)
    {
        using ILoggerFactory loggers = Logging.Create(verbose ? LogLevel.Debug : LogLevel.Information);
        using StopSignals signals = new(loggers.CreateLogger<StopSignals>());
        try
        {
            BrokerPolicy policy = PolicyFile.Load(path, mustBePrivate: true);
            bool clean = await new BrokerHost(loggers, TimeProvider.System).RunAsync(policy, path, signals.Token);
            return clean ? ExitCodes.Success : ExitCodes.Failure;
        }
        catch (PolicyException exception)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return ExitCodes.Invalid;
        }
        catch (StartException exception)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return exception.ExitCode;
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            // Told to stop before it served.
            return ExitCodes.Success;
        }
    }
}
