using System.Diagnostics;
using BarBroker.EndToEnd.Harness;

namespace BarBroker.Benchmarks;

/// <summary>A process that answers each line of its input with one of its output, and ends with its input.</summary>
internal sealed class HelperProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly string _name;

    private HelperProcess(string program, string[] arguments)
    {
        _name = Path.GetFileName(program);
        ProcessStartInfo command = new(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };

        // As the broker's own project has it: one of these stands for the broker. Native programs don't care.
        command.Environment["DOTNET_gcConcurrent"] = "0";
        _process = Process.Start(command)!;
    }

    /// <summary>One of the programs that are built of <c>native/</c>.</summary>
    internal static HelperProcess StartNative(string name, params string[] arguments)
    {
        string directory = Environment.GetEnvironmentVariable("BAR_BROKER_NATIVE")
            ?? throw new InvalidOperationException("BAR_BROKER_NATIVE is not set: where the native programs lie, built (tests/run.sh bench does that).");
        return new HelperProcess(Path.Combine(directory, name), arguments);
    }

    /// <summary>This very program in another role.</summary>
    internal static HelperProcess StartOwn(params string[] arguments) =>
        new(Environment.ProcessPath!, [typeof(HelperProcess).Assembly.Location, .. arguments]);

    /// <summary>A program that says once that it serves, and nothing more.</summary>
    internal static async Task<HelperProcess> ServeAsync(HelperProcess server)
    {
        try
        {
            await server.HearAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Its answer to <paramref name="command"/>.</summary>
    internal async Task<string> AskAsync(string command)
    {
        await _process.StandardInput.WriteLineAsync(command);
        await _process.StandardInput.FlushAsync();
        return await HearAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        using CancellationTokenSource limit = new(Patience.Limit);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private async Task<string> HearAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        return await _process.StandardOutput.ReadLineAsync(limit.Token)
            ?? throw new InvalidOperationException($"{_name} ended; what it said stands above.");
    }
}
