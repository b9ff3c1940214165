using BarBroker.Transport.Counting;
using Microsoft.AspNetCore.Http;

namespace BarBroker.Rpc;

/// <summary>What Kestrel's log says, in its own names and English: tests notice when they change.</summary>
internal static class KestrelEvents
{
    /// <summary>How the message of a rejected <c>:authority</c> begins.</summary>
    internal const string InvalidHost = "Invalid Host header";

    /// <summary>Kestrel's event ids from here on, for the throttle: ours end before.</summary>
    internal const int FirstThrottled = 10_000;

    /// <summary>What was ended; null for anything else.</summary>
    internal static BrokenProtocol? KindOf(LogLevel logLevel, EventId eventId, Exception? exception) => eventId.Name switch
    {
        "Http2ConnectionError" => BrokenProtocol.Connection,
        "ConnectionBadRequest" when exception is BadHttpRequestException { StatusCode: StatusCodes.Status408RequestTimeout } => BrokenProtocol.HeadersTimeout,
        "HPackDecodingError" => BrokenProtocol.HeaderCompression,
        "Http2StreamError" => BrokenProtocol.Stream,
        "Http2QueueOperationsExceeded" or "Http2FlowControlQueueOperationsExceeded" => BrokenProtocol.OutputQueue,
        "Http2TooManyEnhanceYourCalms" => BrokenProtocol.RapidReset,

        // It stumbled over something: "Connection processing ended abnormally."
        null when eventId.Id == 0 && logLevel == LogLevel.Warning && exception is not null => BrokenProtocol.Connection,
        _ => null,
    };

    /// <summary>The connection that a line or a scope is about.</summary>
    internal static string? ConnectionId<TState>(TState state)
        => state is IEnumerable<KeyValuePair<string, object?>> values ? values.FirstOrDefault(static value => value.Key == "ConnectionId").Value as string : null;
}
