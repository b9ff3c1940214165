using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Rpc;

/// <summary>
/// Hands Kestrel its loggers, and listens to three of them: what Kestrel ends by itself it tells nobody else, and most of it at Debug only. It is
/// counted, and held against the user; what it logs of it is throttled.
/// </summary>
internal sealed class KestrelLoggerFactory(ILoggerFactory inner, RpcLog log, WarningThrottle throttle, WireCounters counters, Offences offences) : ILoggerFactory
{
    private const string GeneralCategory = "Microsoft.AspNetCore.Server.Kestrel";
    private const string Http2Category = "Microsoft.AspNetCore.Server.Kestrel.Http2";
    private const string BadRequestCategory = "Microsoft.AspNetCore.Server.Kestrel.BadRequests";

    /// <summary>The connection that Kestrel is at: its general logger says so by a scope, and then no more.</summary>
    private readonly AsyncLocal<string?> _connection = new();

    public ILogger CreateLogger(string categoryName)
    {
        ILogger logger = inner.CreateLogger(categoryName);
        return categoryName switch
        {
            Http2Category or BadRequestCategory => new KestrelLogger(this, logger, LogLevel.Debug),
            GeneralCategory => new KestrelLogger(this, logger, LogLevel.Warning),
            _ => logger,
        };
    }

    public void AddProvider(ILoggerProvider provider) => inner.AddProvider(provider);

    public void Dispose()
    {
        // The inner factory is somebody else's.
    }

    /// <summary>Hears what happened, whether it is logged or not.</summary>
    private void Hear<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception)
    {
        // Kestrel rejects a request whose :authority is a percent-encoded path, which newer gRPC-core clients send for Unix sockets. To the
        // client it looks like a broken server.
        if (exception is ConnectionAbortedException && exception.Message.StartsWith(KestrelEvents.InvalidHost, StringComparison.Ordinal)
            && throttle.Passes(204, UserOf(state), out _))
        {
            log.AuthorityRejected(PeerText.Show(exception.Message));
        }

        if (KestrelEvents.KindOf(logLevel, eventId, exception) is { } kind)
        {
            counters.ProtocolErrors.Add(kind);
            if ((KestrelEvents.ConnectionId(state) ?? _connection.Value) is not { } connection)
            {
                return;
            }

            if (kind == BrokenProtocol.Stream)
            {
                offences.Charge(connection, PaceLimits.RefusedStream);
            }
            else
            {
                offences.Add(connection);
            }
        }
    }

    /// <param name="factory">Hears.</param>
    /// <param name="inner">Logs.</param>
    /// <param name="least">From which level on it is to hear: what is below costs nothing.</param>
    private sealed class KestrelLogger(KestrelLoggerFactory factory, ILogger inner, LogLevel least) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
        {
            if (KestrelEvents.ConnectionId(state) is { } connection)
            {
                factory._connection.Value = connection;
            }

            return inner.BeginScope(state);
        }

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least || inner.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            factory.Hear(logLevel, eventId, state, exception);

            // What a peer does is no error of ours; Kestrel calls one that resets calls faster than it reads critical.
            if (exception is ConnectionAbortedException && logLevel > LogLevel.Warning)
            {
                logLevel = LogLevel.Warning;
            }

            // A peer can provoke these at will, some of them many times on each connection.
            if (inner.IsEnabled(logLevel) && (logLevel != LogLevel.Warning || factory.Passes(eventId, state)))
            {
                inner.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }

    private bool Passes<TState>(EventId eventId, TState state) => throttle.Passes(KestrelEvents.FirstThrottled + eventId.Id, UserOf(state), out _);

    private uint? UserOf<TState>(TState state) => offences.UserOf(KestrelEvents.ConnectionId(state) ?? _connection.Value);
}
