using System.Diagnostics;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary><c>buf curl</c>: a gRPC client that shares nothing with ours, and learns the methods by reflection.</summary>
internal static class Buf
{
    /// <summary>Makes a call as root; its answer.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    internal static async Task<JsonNode> CallAsync(string socket, string method, string request)
    {
        (int status, string output, string error) = await RunAsync(Stage.Buf(), socket, method, request);
        return status == 0
            ? JsonNode.Parse(output)!
            : throw new InvalidOperationException($"buf curl {method} {request} exited with status {status}: {error}{output}");
    }

    /// <summary>Makes a call that must fail, under a user; the error: code, message and details.</summary>
    internal static async Task<JsonNode> FailAsync(int user, string socket, string method, string request)
    {
        (int status, string output, string error) = await RunAsync(Stage.Buf(), socket, method, request, user);
        Assert.True(status != 0, $"buf curl {method} {request} should have failed, but answered {output}");
        return JsonNode.Parse(error)!;
    }

    /// <summary>The services that the socket offers.</summary>
    internal static async Task<string[]> ListServicesAsync(string socket)
    {
        (int status, string output, string error) = await RunAsync(Stage.Buf(), socket, method: null, request: null);
        return status == 0
            ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException($"buf curl --list-services exited with status {status}: {error}");
    }

    private static async Task<(int Status, string Output, string Error)> RunAsync(
        ProcessStartInfo command, string socket, string? method, string? request, int? user = null)
    {
        string[] call = method is null ? ["--list-services", "http://localhost"] : ["-d", request!, $"http://localhost/{method}"];
        foreach (string argument in (string[])["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", socket, .. call])
        {
            command.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(user is { } other ? Stage.As(other, command) : command)!;
        process.StandardInput.Close();
        using CancellationTokenSource limit = new(Patience.Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> error = process.StandardError.ReadToEndAsync(limit.Token);
        await process.WaitForExitAsync(limit.Token);
        return (process.ExitCode, await output, await error);
    }
}
