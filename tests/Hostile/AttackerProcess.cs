using System.Diagnostics;
using BarBroker.EndToEnd.Harness;
using BarBroker.Hostile.Attacks;

namespace BarBroker.Hostile;

/// <summary>The attacker, under a user of its own: what is limited by user is its alone.</summary>
internal sealed class AttackerProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly ProcessLog _log;

    private AttackerProcess(Process process, ProcessLog log)
    {
        _process = process;
        _log = log;
    }

    /// <summary>Starts it under a user whom nothing is held against yet.</summary>
    internal static AttackerProcess Start(Attack attack, string socket, int user)
    {
        ProcessStartInfo command = Stage.Broker();
        command.ArgumentList.Clear();
        foreach (string argument in (string[])[Path.Combine(AppContext.BaseDirectory, "bar-hostile.dll"), attack.Name, socket])
        {
            command.ArgumentList.Add(argument);
        }

        Process process = Process.Start(Politely(Stage.As(user, command)))!;
        return new AttackerProcess(process, ProcessLog.Follow(process, $"attacker-{attack.Name}", outputToo: false));
    }

    internal Task BeginAsync() => TellAsync("go");

    /// <summary>Returns when it holds nothing any more.</summary>
    internal Task EndAsync() => TellAsync("rest");

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
        _log.Dispose();
    }

    /// <summary>
    /// What the attacker's own work takes from the others is the scheduler's matter, not the broker's: it gets what is left of the processors,
    /// and what the broker does for it counts.
    /// </summary>
    private static ProcessStartInfo Politely(ProcessStartInfo command)
    {
        foreach (string argument in (string[])[command.FileName, "19", "-n"])
        {
            command.ArgumentList.Insert(0, argument);
        }

        command.FileName = "/usr/bin/nice";
        return command;
    }

    private async Task TellAsync(string what)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        await _process.StandardInput.WriteLineAsync(what);
        await _process.StandardInput.FlushAsync(limit.Token);
        if (await _process.StandardOutput.ReadLineAsync(limit.Token) != "done")
        {
            throw new InvalidOperationException($"The attacker did not do as it was told.\n{_log}");
        }
    }
}
