using System.Diagnostics;
using System.Globalization;
using BarBroker.EndToEnd.Harness;
using BarBroker.Hostile.Attacks;

namespace BarBroker.Hostile;

/// <summary>The attacker, under users of its own: what is limited by user is its alone.</summary>
internal sealed class AttackerProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly ProcessLog _log;

    private AttackerProcess(Process process, ProcessLog log, int user)
    {
        _process = process;
        _log = log;
        NextUser = user;
    }

    /// <summary>The first that it did not need.</summary>
    internal int NextUser { get; private set; }

    /// <summary>Starts it as root, which it needs to become one user after another.</summary>
    /// <param name="attack">What it does.</param>
    /// <param name="socket">To whom.</param>
    /// <param name="user">The first.</param>
    internal static AttackerProcess Start(Attack attack, string socket, int user)
    {
        ProcessStartInfo command = Stage.Broker();
        command.ArgumentList.Clear();
        foreach (string argument in (string[])[Path.Combine(AppContext.BaseDirectory, "bar-hostile.dll"), attack.Name, socket, user.ToString(CultureInfo.InvariantCulture)])
        {
            command.ArgumentList.Add(argument);
        }

        Process process = Process.Start(Politely(Stage.As(Users.Root, command)))!;
        return new AttackerProcess(process, ProcessLog.Follow(process, $"attacker-{attack.Name}", outputToo: false), user);
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
    /// and what the broker does for it counts. The attack <see cref="Attacks.NoAttack"/> shows what is left of the one after that.
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
        if (await _process.StandardOutput.ReadLineAsync(limit.Token) is not { } answer || answer.Split(' ') is not ["done", var next])
        {
            throw new InvalidOperationException($"The attacker did not do as it was told.\n{_log}");
        }

        NextUser = int.Parse(next, CultureInfo.InvariantCulture);
    }
}
