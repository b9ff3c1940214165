using System.Diagnostics;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary><c>buf curl</c>: a gRPC client that shares nothing with ours, and learns the methods by reflection.</summary>
internal static class Buf
{
    private const string Reflection = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

    // How buf marks what it says beside the answer.
    private const string Remark = "buf: ";

    /// <summary>Makes a call; its answer.</summary>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    internal static async Task<JsonNode> CallAsync(string socket, string method, string request, int user = Users.Root)
        => JsonNode.Parse(await SucceedAsync(user, socket, ["-d", request, UrlOf(method)]))!;

    /// <summary>Makes a call that the broker must refuse, under a user.</summary>
    internal static async Task<BufError> FailAsync(int user, string socket, string method, string request)
    {
        (BufError error, _) = await FailAsync(user, socket, ["-d", request, UrlOf(method)]);
        return error;
    }

    /// <summary>Makes a call that the broker does not end, and gives it a deadline. Sent: the request's headers.</summary>
    internal static Task<(BufError Error, string[] Sent)> ExpireAsync(string socket, string method, string request, TimeSpan timeout)
        => FailAsync(Users.Root, socket, ["--verbose", "--timeout", $"{(long)timeout.TotalMilliseconds}ms", "-d", request, UrlOf(method)]);

    /// <summary>Begins a call with a stream of answers.</summary>
    internal static BufStream Open(int user, string socket, string method, string request)
        => new(Start(user, socket, ["-d", request, UrlOf(method)]));

    /// <summary>The services that the socket offers.</summary>
    internal static Task<string[]> ListServicesAsync(string socket) => ListAsync(socket, "--list-services");

    /// <summary>The methods that the socket offers, each with its service.</summary>
    internal static Task<string[]> ListMethodsAsync(string socket) => ListAsync(socket, "--list-methods");

    /// <summary>The files that describe a symbol, serialized: its own, then what that imports.</summary>
    internal static async Task<byte[][]> DescribeAsync(string socket, string symbol)
    {
        JsonNode answer = await CallAsync(socket, Reflection, $$"""{"fileContainingSymbol": "{{symbol}}"}""");
        return [.. answer["fileDescriptorResponse"]!["fileDescriptorProto"]!.AsArray().Select(file => Convert.FromBase64String((string)file!))];
    }

    /// <summary>The error on a stream of errors, which may have remarks before it and after.</summary>
    internal static BufError ReadError(string text)
    {
        string json = string.Join('\n', text.Split('\n').Where(line => !line.StartsWith(Remark, StringComparison.Ordinal)));
        Assert.StartsWith("{", json, StringComparison.Ordinal);
        return BufError.Parse(json);
    }

    private static string UrlOf(string method) => $"http://localhost/{method}";

    private static async Task<string[]> ListAsync(string socket, string what)
        => (await SucceedAsync(Users.Root, socket, [what, UrlOf(string.Empty)])).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static async Task<string> SucceedAsync(int user, string socket, string[] arguments)
    {
        (int status, string output, string error) = await RunAsync(user, socket, arguments);
        return status == 0
            ? output
            : throw new InvalidOperationException($"buf curl {string.Join(' ', arguments)} exited with status {status}: {error}{output}");
    }

    private static async Task<(BufError Error, string[] Sent)> FailAsync(int user, string socket, string[] arguments)
    {
        (int status, string output, string error) = await RunAsync(user, socket, arguments);
        Assert.True(status != 0, $"buf curl {string.Join(' ', arguments)} should have failed, but answered {output}");
        return (ReadError(error), [.. error.Split('\n').Where(line => line.StartsWith(Remark + ">", StringComparison.Ordinal))]);
    }

    private static async Task<(int Status, string Output, string Error)> RunAsync(int user, string socket, string[] arguments)
    {
        using Process process = Start(user, socket, arguments);
        using CancellationTokenSource limit = new(Patience.Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> error = process.StandardError.ReadToEndAsync(limit.Token);
        await process.WaitForExitAsync(limit.Token);
        return (process.ExitCode, await output, await error);
    }

    private static Process Start(int user, string socket, string[] arguments)
    {
        ProcessStartInfo command = Stage.Buf();
        foreach (string argument in (string[])["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--unix-socket", socket, .. arguments])
        {
            command.ArgumentList.Add(argument);
        }

        Process process = Process.Start(user == Users.Root ? command : Stage.As(user, command))!;
        process.StandardInput.Close();
        return process;
    }
}
