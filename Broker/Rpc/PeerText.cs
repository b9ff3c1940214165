using System.Text.Json;

namespace BarBroker.Rpc;

/// <summary>Text of a peer's choice, where it goes into a message or a log.</summary>
internal static class PeerText
{
    /// <summary>
    /// Clients cap the headers of a response, often at 8 KiB, and a status travels in one: with text of any length in it they would see a
    /// broken call in its place.
    /// </summary>
    private const int LongestShown = 80;

    /// <summary>The text quoted, without control characters, and its front only where it is long.</summary>
    internal static string Show(string text) => JsonSerializer.Serialize(text.Length <= LongestShown ? text : string.Concat(text.AsSpan(0, LongestShown), "..."));
}
