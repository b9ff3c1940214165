using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A running <c>bar-broker</c> on a runtime directory of its own.</summary>
internal sealed partial class BrokerProcess : IAsyncDisposable
{
    private const UnixFileMode OpenToAll =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private const int Terminate = 15;

    private static int LastNumber;

    private readonly Process _process;
    private readonly string _directory;
    private readonly ProcessLog _log;
    private readonly Socket _notifications;
    private bool _mayEnd;

    private BrokerProcess(Process process, string directory, ProcessLog log, Socket notifications)
    {
        _notifications = notifications;
        _process = process;
        _directory = directory;
        _log = log;
    }

    internal int ProcessId => _process.Id;

    internal string PolicyFile => Path.Combine(_directory, "policy.json");

    internal string ClientSocket => Path.Combine(_directory, "run", "broker.sock");

    internal string AdminSocket => Path.Combine(_directory, "run", "admin.sock");

    /// <summary>Returns once it says that it serves, as it would to systemd (sd_notify(3)).</summary>
    /// <param name="policy">Makes the policy's text for a runtime directory.</param>
    /// <param name="user">Root, or who it is to run as.</param>
    /// <param name="descriptorLimit">LimitNOFILE= of its unit; null is what the tests themselves have.</param>
    /// <param name="isHeard">Somebody reads what it logs.</param>
    internal static async Task<BrokerProcess> StartAsync(Func<string, string> policy, int user = Users.Root, int? descriptorLimit = null, bool isHeard = true)
    {
        string directory = Directory.CreateTempSubdirectory("bar-broker-e2e-").FullName;
        File.SetUnixFileMode(directory, OpenToAll);
        string configuration = Path.Combine(directory, "policy.json");
        await File.WriteAllTextAsync(configuration, policy(Path.Combine(directory, "run")));

        ProcessStartInfo command = Stage.Broker();
        foreach (string argument in (string[])["run", "--config", configuration])
        {
            command.ArgumentList.Add(argument);
        }

        if (user != Users.Root)
        {
            command = Stage.As(user, command, Users.BrokerGroup);
        }

        if (descriptorLimit is { } limit)
        {
            command = Stage.WithDescriptors(limit, command);
        }

        string notifySocket = Path.Combine(directory, "notify");
        Socket notifications = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        notifications.Bind(new UnixDomainSocketEndPoint(notifySocket));
        command.Environment["NOTIFY_SOCKET"] = notifySocket;
        foreach (string path in (string[])[directory, notifySocket])
        {
            FileOwner.Change(path, user, Users.BrokerGroup);
        }

        Process process = Process.Start(command)!;
        string name = $"broker-{++LastNumber}";
        BrokerProcess broker = new(process, directory, isHeard ? ProcessLog.Follow(process, name) : ProcessLog.Ignore(name), notifications);
        try
        {
            await broker.ReadyAsync();
        }
        catch
        {
            broker._mayEnd = true;
            await broker.DisposeAsync();
            throw;
        }

        return broker;
    }

    /// <summary>Completes when its log has told of at least so many leases from now on.</summary>
    internal async Task HearLeasesAsync(int count)
    {
        for (int heard = 0; heard < count; heard++)
        {
            await _log.HearAsync("[1001] Lease ");
        }
    }

    /// <summary>Completes when its log says next that this lease ended.</summary>
    internal Task HearEndOfAsync(ulong lease) => _log.HearAsync($"[1002] Lease {lease} ");

    /// <summary>Completes when its log says next that this device is back.</summary>
    internal Task HearReturnOfAsync(string device) => _log.HearAsync($"[1301] Device '{device}' ");

    /// <summary>Completes when its log says next that this device is there again, but not as the policy has it.</summary>
    internal Task HearMisfitOfAsync(string device) => _log.HearAsync($"[1303] Device '{device}' ");

    /// <summary>Completes when its log says next that the end of this lease can't be confirmed.</summary>
    internal Task HearQuarantineOfAsync(ulong lease) => _log.HearAsync($"[1003] Lease {lease} ");

    /// <summary>Completes when its log says next that the kernel does not return from a call about this device.</summary>
    internal Task HearStuckAsync(string device) => _log.HearAsync($"[2005] Device {device}: ");

    /// <summary>Completes when its log says next that the kernel has returned from such a call.</summary>
    internal Task HearUnstuckAsync(string device) => _log.HearAsync($"[2009] Device {device}: ");

    /// <summary>What it has said so far that no client may bring it to say: errors, each a line.</summary>
    internal string[] LoggedErrors() => [.. _log.ReadLines().Where(line => line.StartsWith("fail: ", StringComparison.Ordinal) || line.StartsWith("crit: ", StringComparison.Ordinal))];

    /// <summary>How many descriptors it has open.</summary>
    internal int CountDescriptors() => Directory.GetFileSystemEntries($"/proc/{ProcessId}/fd").Length;

    /// <summary>What its descriptors refer to; those of files, by their paths.</summary>
    internal string[] OpenFiles()
        => [.. Directory.GetFileSystemEntries($"/proc/{ProcessId}/fd").Select(entry => new FileInfo(entry).LinkTarget).OfType<string>()];

    /// <summary>Its program is over. A thread that is still in the kernel keeps the process, and its descriptors.</summary>
    internal bool HasLeftMain => _process.HasExited || File.ReadAllText($"/proc/{ProcessId}/stat").Split(' ')[2] == "Z";

    /// <summary>For a complaint: what its threads do, by the kernel.</summary>
    internal string DescribeThreads()
    {
        IEnumerable<string> threads = Directory.GetDirectories($"/proc/{ProcessId}/task").Select(task =>
        {
            string[] stat = File.ReadAllText(Path.Combine(task, "stat")).Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return $"{Path.GetFileName(task)} {stat[0]} {File.ReadAllText(Path.Combine(task, "wchan"))}";
        });
        return $"{string.Join(", ", threads)}\n{_log}";
    }

    /// <summary>SIGTERM. Returns its exit status.</summary>
    internal Task<int> StopAsync()
    {
        TellToStop();
        return ExitAsync();
    }

    /// <summary>SIGTERM.</summary>
    internal void TellToStop()
    {
        _mayEnd = true;
        if (Signal(ProcessId, Terminate) != 0)
        {
            throw new InvalidOperationException($"kill: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    /// <summary>Returns its exit status once it is gone.</summary>
    internal async Task<int> ExitAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        await _process.WaitForExitAsync(limit.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL. Returns when it is gone.</summary>
    internal async Task KillAsync()
    {
        _mayEnd = true;
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <exception cref="InvalidOperationException">It had ended, and nobody had told it to: that is what a scenario's failure comes of.</exception>
    public async ValueTask DisposeAsync()
    {
        string? died = _process.HasExited && !_mayEnd ? $"The broker died with status {_process.ExitCode}.\n{_log}" : null;
        if (!_process.HasExited)
        {
            await KillAsync();
        }

        _process.Dispose();
        _notifications.Dispose();
        _log.Dispose();
        Directory.Delete(_directory, recursive: true);
        if (died is not null)
        {
            throw new InvalidOperationException(died);
        }
    }

    private async Task ReadyAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        Task ready = HearReadyAsync(_notifications, limit.Token);
        Task ended = _process.WaitForExitAsync(limit.Token);
        await Task.WhenAny(ready, ended);
        if (!ready.IsCompletedSuccessfully)
        {
            string what = _process.HasExited ? $"exited with status {_process.ExitCode}" : "does not say that it serves";
            throw new InvalidOperationException($"The broker {what}.\n{_log}", ready.Exception);
        }
    }

    private static async Task HearReadyAsync(Socket notifications, CancellationToken cancellationToken)
    {
        byte[] message = new byte[1024];
        string text;
        do
        {
            int length = await notifications.ReceiveAsync(message, cancellationToken);
            text = Encoding.UTF8.GetString(message, 0, length);
        }
        while (!text.Split('\n').Contains("READY=1"));
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Signal(int process, int signal);
}
