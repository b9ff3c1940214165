using System.Diagnostics;

namespace BarBroker.EndToEnd.Harness;

/// <summary>What a process says for people: kept in a file of its own, its last lines at hand for a failure's message.</summary>
internal sealed class ProcessLog : IDisposable
{
    private const int TailLines = 20;

    private readonly Lock _lock = new();
    private readonly Queue<string> _tail = new();
    private readonly StreamWriter _file;
    private readonly string _path;
    private readonly List<(string Part, TaskCompletionSource Seen)> _awaited = [];
    private bool _disposed;

    private ProcessLog(string path)
    {
        _path = path;
        _file = new StreamWriter(path) { AutoFlush = true };
    }

    /// <summary>Follows both output streams; a probe's standard output is its replies', so only the other.</summary>
    internal static ProcessLog Follow(Process process, string name, bool outputToo = true)
    {
        ProcessLog log = Ignore(name);
        process.ErrorDataReceived += (_, line) => log.Add(line.Data);
        process.BeginErrorReadLine();
        if (outputToo)
        {
            process.OutputDataReceived += (_, line) => log.Add(line.Data);
            process.BeginOutputReadLine();
        }

        return log;
    }

    /// <summary>Reads nothing: the pipe fills up, as when a journal hangs.</summary>
    internal static ProcessLog Ignore(string name) => new(Path.Combine(Stage.Results, $"{name}.log"));

    /// <summary>Completes with the next line that has <paramref name="part"/> in it.</summary>
    internal Task HearAsync(string part)
    {
        TaskCompletionSource seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _awaited.Add((part, seen));
        }

        return seen.Task.WaitAsync(Patience.Limit);
    }

    /// <summary>Everything so far.</summary>
    internal string[] ReadLines()
    {
        lock (_lock)
        {
            return File.ReadAllLines(_path);
        }
    }

    public override string ToString()
    {
        lock (_lock)
        {
            return $"The end of {_path}:\n{string.Join('\n', _tail)}";
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _file.Dispose();
        }
    }

    private void Add(string? line)
    {
        lock (_lock)
        {
            if (line is null || _disposed)
            {
                return;
            }

            _file.WriteLine(line);
            foreach ((string part, TaskCompletionSource seen) in _awaited)
            {
                if (line.Contains(part, StringComparison.Ordinal))
                {
                    seen.TrySetResult();
                }
            }

            _awaited.RemoveAll(awaited => awaited.Seen.Task.IsCompleted);
            _tail.Enqueue(line);
            if (_tail.Count > TailLines)
            {
                _ = _tail.Dequeue();
            }
        }
    }
}
