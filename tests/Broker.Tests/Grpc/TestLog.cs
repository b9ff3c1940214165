using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace BarBroker.Tests.Grpc;

/// <summary>Keeps what is logged, for tests to assert on.</summary>
internal sealed class TestLog : ILoggerFactory
{
    private readonly ConcurrentQueue<Entry> _entries = new();

    /// <summary>Everything from Warning up, so far.</summary>
    internal IReadOnlyCollection<Entry> Entries => _entries;

    /// <summary>Is called with each, as it is logged.</summary>
    internal Action<Entry>? Logged { get; set; }

    public ILogger CreateLogger(string categoryName) => new Logger(this);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
        // Nothing is held.
    }

    internal sealed record Entry(LogLevel Level, int EventId, string Message, Exception? Exception);

    private sealed class Logger(TestLog log) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                Entry entry = new(logLevel, eventId.Id, formatter(state, exception), exception);
                log._entries.Enqueue(entry);
                log.Logged?.Invoke(entry);
            }
        }
    }
}
