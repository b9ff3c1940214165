using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using BarBroker.Probe;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A client process under a user of its own. Answers one request at a time.</summary>
internal sealed partial class ProbeProcess : IAsyncDisposable
{
    private const int Continue = 18;
    private const int Stop = 19;

    private static int LastNumber;

    private readonly Process _process;
    private readonly ProcessLog _log;

    private ProbeProcess(Process process, ProcessLog log)
    {
        _process = process;
        _log = log;
    }

    internal int ProcessId => _process.Id;

    /// <summary>It crashed or was killed: a scenario's failure, which must not be the next one's.</summary>
    internal bool HasEnded => _process.HasExited;

    internal static ProbeProcess Start(int user)
    {
        Process process = Process.Start(Stage.As(user, Stage.Probe()))!;
        return new ProbeProcess(process, ProcessLog.Follow(process, $"probe-{++LastNumber}-{user}", outputToo: false));
    }

    /// <exception cref="ProbeException">The operation threw, in the probe.</exception>
    internal async Task<ProbeReply> AskAsync(ProbeRequest request)
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        string? line;
        try
        {
            await _process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(request, ProbeJson.Default.ProbeRequest));
            await _process.StandardInput.FlushAsync(limit.Token);
            line = await _process.StandardOutput.ReadLineAsync(limit.Token);
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            throw new InvalidOperationException($"The probe did not answer {request}.\n{_log}", exception);
        }

        ProbeReply reply = line is null
            ? throw new InvalidOperationException($"The probe ended at {request}.\n{_log}")
            : JsonSerializer.Deserialize(line, ProbeJson.Default.ProbeReply)!;
        return reply.Error is { } error ? throw new ProbeException(error) : reply;
    }

    /// <summary>A connection of its own. Its leases end with it.</summary>
    internal async Task<Client> ConnectAsync(string socket)
    {
        ProbeReply reply = await AskAsync(new ProbeRequest { Operation = ProbeOperation.Connect, Socket = socket });
        return new Client(this, (int)reply.Value);
    }

    /// <summary>A call on a connection of its own: its answer, as JSON.</summary>
    internal async Task<JsonNode> CallAsync(string socket, string method, string request)
    {
        ProbeReply reply = await AskAsync(new ProbeRequest { Operation = ProbeOperation.Call, Socket = socket, Method = method, Json = request });
        return JsonNode.Parse(reply.Text!)!;
    }

    /// <summary>SIGKILL. Returns when it is gone.</summary>
    internal async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGSTOP. Returns when every thread of it stands still; it can't be asked anything before <see cref="ContinueAsync"/>.</summary>
    internal Task StopAsync() => SignalAsync(Stop, untilStopped: true);

    /// <summary>SIGCONT. Returns when it runs.</summary>
    internal Task ContinueAsync() => SignalAsync(Continue, untilStopped: false);

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
        _log.Dispose();
    }

    private async Task SignalAsync(int signal, bool untilStopped)
    {
        if (SendSignal(ProcessId, signal) != 0)
        {
            throw new InvalidOperationException($"kill: errno {Marshal.GetLastPInvokeError()}");
        }

        await Patience.UntilAsync(
            () => Directory.GetDirectories($"/proc/{ProcessId}/task").All(thread => (IsStopped(thread) ?? untilStopped) == untilStopped),
            () => $"Process {ProcessId} does not heed signal {signal}.");
    }

    /// <summary>Null when the thread has ended.</summary>
    private static bool? IsStopped(string thread)
    {
        try
        {
            // proc(5): the state is the word after the name, which ends with the last parenthesis.
            string stat = File.ReadAllText(Path.Combine(thread, "stat"));
            return stat[stat.LastIndexOf(')') + 2] == 'T';
        }
        catch (IOException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int process, int signal);
}

/// <summary>An operation threw, in a probe.</summary>
internal sealed class ProbeException(ProbeError error) : Exception($"{error.Type}: {error.Message} [{error.Status} {error.Reason}]")
{
    internal ProbeError Error { get; } = error;
}
