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

    /// <summary>Makes a call that the broker must refuse, under a user.</summary>
    internal static async Task<BufError> FailAsync(int user, string socket, string method, string request)
    {
        (int status, string output, string error) = await RunAsync(Stage.Buf(), socket, method, request, user);
        Assert.True(status != 0, $"buf curl {method} {request} should have failed, but answered {output}");
        Assert.StartsWith("{", error, StringComparison.Ordinal);
        return BufError.Parse(error);
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

/// <summary>How a call failed, as buf prints it.</summary>
internal sealed record BufError(string Code, string Message, string? Reason)
{
    internal static BufError Parse(string json)
    {
        JsonNode error = JsonNode.Parse(json)!;
        return new BufError((string)error["code"]!, (string)error["message"]!, ReasonOf(error["details"]?[0]));
    }

    // google.rpc.ErrorInfo begins with its field 1, the reason: a tag, a length below 128, the text.
    private static string? ReasonOf(JsonNode? detail)
    {
        if (detail is null)
        {
            return null;
        }

        Assert.Equal("google.rpc.ErrorInfo", (string?)detail["type"]);
        string value = (string)detail["value"]!;
        byte[] message = Convert.FromBase64String(value.PadRight((value.Length + 3) / 4 * 4, '='));
        Assert.Equal(0x0a, message[0]);
        return System.Text.Encoding.ASCII.GetString(message, 2, message[1]);
    }
}
