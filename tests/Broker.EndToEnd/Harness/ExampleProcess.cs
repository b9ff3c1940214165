using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A program that writes lines and ends: an example client, or what bar-lease runs.</summary>
internal sealed partial class ExampleProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _errors = new();
    private readonly TaskCompletionSource _errorsEnd = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ExampleProcess(Process process)
    {
        _process = process;
        process.ErrorDataReceived += (_, line) => Add(line.Data);
        process.BeginErrorReadLine();
    }

    internal int ProcessId => _process.Id;

    /// <summary>What it said on standard error: all of it, once it has ended.</summary>
    internal string Errors
    {
        get
        {
            lock (_errors)
            {
                return _errors.ToString();
            }
        }
    }

    /// <summary>Starts an example under a user.</summary>
    internal static ExampleProcess Start(int user, string example, params string[] arguments)
    {
        ProcessStartInfo command = As(user, Stage.Example(example), arguments);
        command.Environment["LD_LIBRARY_PATH"] = Stage.ExampleLibraries;
        return new ExampleProcess(Process.Start(command)!);
    }

    /// <summary>Starts bar-lease under a user, as from a shell without descriptors of its own and with directories in PATH that everybody may read.</summary>
    internal static ExampleProcess StartBarLease(int user, params string[] arguments)
    {
        const string Script = """PATH=/usr/bin:/bin exec "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-""";
        ProcessStartInfo barLease = Stage.BarLease();
        ProcessStartInfo command = As(user, Stage.Shell(), ["-c", Script, "sh", barLease.FileName, .. barLease.ArgumentList, .. arguments]);

        // What another service manager said to us is not for the program.
        command.Environment["LISTEN_FDS"] = "9";
        return new ExampleProcess(Process.Start(command)!);
    }

    /// <summary>Starts a shell's script under a user.</summary>
    internal static ExampleProcess StartShell(int user, string script) => new(Process.Start(As(user, Stage.Shell(), ["-c", script]))!);

    /// <summary>Its next line that isn't <paramref name="skip"/>.</summary>
    internal async Task<string> ReadLineAsync(string? skip = null)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        string? line;
        do
        {
            line = await _process.StandardOutput.ReadLineAsync(limit.Token);
        }
        while (line is not null && line == skip);

        return line ?? throw new InvalidOperationException($"It has ended: {Errors}");
    }

    internal void Signal(int signal)
    {
        if (Kill(ProcessId, signal) != 0)
        {
            throw new InvalidOperationException($"kill: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    /// <summary>Its exit status, once it has ended and all that it said is there.</summary>
    internal async Task<int> ExitAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        await _process.WaitForExitAsync(limit.Token);
        await _errorsEnd.Task.WaitAsync(limit.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL. Returns when it is gone.</summary>
    internal async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
    }

    private static ProcessStartInfo As(int user, ProcessStartInfo command, string[] arguments)
    {
        foreach (string argument in arguments)
        {
            command.ArgumentList.Add(argument);
        }

        return Stage.As(user, command);
    }

    private void Add(string? line)
    {
        if (line is null)
        {
            _errorsEnd.SetResult();
            return;
        }

        lock (_errors)
        {
            _errors.AppendLine(line);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
