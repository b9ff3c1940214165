using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A running <c>bar-broker</c>, as root, on a runtime directory of its own.</summary>
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

    private BrokerProcess(Process process, string directory, ProcessLog log)
    {
        _process = process;
        _directory = directory;
        _log = log;
    }

    internal int ProcessId => _process.Id;

    internal string ClientSocket => Path.Combine(_directory, "run", "broker.sock");

    internal string AdminSocket => Path.Combine(_directory, "run", "admin.sock");

    /// <summary>Returns once it accepts connections on both sockets.</summary>
    /// <param name="policy">Makes the policy's text for a runtime directory.</param>
    internal static async Task<BrokerProcess> StartAsync(Func<string, string> policy)
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

        Process process = Process.Start(command)!;
        BrokerProcess broker = new(process, directory, ProcessLog.Follow(process, $"broker-{++LastNumber}"));
        try
        {
            await Patience.UntilAsync(broker.Accepts, () => $"the broker does not accept connections.\n{broker._log}");
        }
        catch
        {
            await broker.DisposeAsync();
            throw;
        }

        return broker;
    }

    /// <summary>How many descriptors it has open.</summary>
    internal int CountDescriptors() => Directory.GetFileSystemEntries($"/proc/{ProcessId}/fd").Length;

    /// <summary>SIGTERM. Returns its exit status.</summary>
    internal async Task<int> StopAsync()
    {
        if (Signal(ProcessId, Terminate) != 0)
        {
            throw new InvalidOperationException($"kill: errno {Marshal.GetLastPInvokeError()}");
        }

        using CancellationTokenSource limit = new(Patience.Limit);
        await _process.WaitForExitAsync(limit.Token);
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
        _log.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private bool Accepts()
    {
        return _process.HasExited
            ? throw new InvalidOperationException($"The broker exited with status {_process.ExitCode}.\n{_log}")
            : Accepts(AdminSocket) && Accepts(ClientSocket);
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Signal(int process, int signal);

    private static bool Accepts(string path)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
