using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A call of buf's with a stream of answers, which it prints as they come.</summary>
internal sealed class BufStream(Process process) : IDisposable
{
    private readonly Task<string> _errors = process.StandardError.ReadToEndAsync();

    /// <summary>The next answer; null at the end.</summary>
    internal async Task<JsonNode?> ReadAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        StringBuilder answer = new();
        while (await process.StandardOutput.ReadLineAsync(limit.Token) is { } line)
        {
            answer.AppendLine(line);

            // It indents what is inside of an answer, and nothing else.
            if (line is "}" or "{}")
            {
                return JsonNode.Parse(answer.ToString());
            }
        }

        Assert.Equal(string.Empty, answer.ToString());
        return null;
    }

    /// <summary>How the call failed, once it has.</summary>
    internal async Task<BufError> FailAsync()
    {
        using CancellationTokenSource limit = new(Patience.Limit);
        await process.WaitForExitAsync(limit.Token);
        Assert.NotEqual(0, process.ExitCode);
        return Buf.ReadError(await _errors);
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill();
        }

        process.Dispose();
    }
}
