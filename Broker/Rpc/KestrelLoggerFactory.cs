using Microsoft.AspNetCore.Connections;

namespace BarBroker.Rpc;

/// <summary>
/// Hands Kestrel its loggers, and listens to one: Kestrel rejects a request whose <c>:authority</c> is a percent-encoded path, which newer
/// gRPC-core clients send for Unix sockets, and says so at Debug only. To the client it looks like a broken server.
/// </summary>
internal sealed class KestrelLoggerFactory(ILoggerFactory inner, RpcLog log) : ILoggerFactory
{
    private const string Http2Category = "Microsoft.AspNetCore.Server.Kestrel.Http2";

    public ILogger CreateLogger(string categoryName)
    {
        ILogger logger = inner.CreateLogger(categoryName);
        return categoryName == Http2Category ? new Http2Logger(logger, log) : logger;
    }

    public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);

    public void Dispose()
    {
        // The inner factory is somebody else's.
    }

    private sealed class Http2Logger(ILogger inner, RpcLog log) : ILogger
    {
        // Kestrel's English; a test notices when it changes.
        private const string InvalidHost = "Invalid Host header";

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => inner.BeginScope(state);

        // HTTP/2 logs at Debug only what went wrong: listening costs nothing while all is well.
        public bool IsEnabled(LogLevel logLevel) => logLevel == LogLevel.Debug || inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (exception is ConnectionAbortedException && exception.Message.StartsWith(InvalidHost, StringComparison.Ordinal))
            {
                log.AuthorityRejected(exception.Message);
            }

            // What a peer does is no error of ours; Kestrel calls one that resets calls faster than it reads critical.
            if (exception is ConnectionAbortedException && logLevel > LogLevel.Warning)
            {
                logLevel = LogLevel.Warning;
            }

            if (inner.IsEnabled(logLevel))
            {
                inner.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}
