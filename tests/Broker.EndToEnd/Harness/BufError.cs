using System.Text;
using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary>How a call failed, as buf prints it.</summary>
/// <param name="Code">The status code's name, in lower case.</param>
/// <param name="Message">For people.</param>
/// <param name="Reason">Of google.rpc.ErrorInfo, if that came.</param>
/// <param name="Field">The first field that google.rpc.BadRequest, if that came, is about.</param>
internal sealed record BufError(string Code, string Message, string? Reason, string? Field)
{
    internal static BufError Parse(string json)
    {
        JsonNode error = JsonNode.Parse(json)!;

        // ErrorInfo begins with its reason, BadRequest with a violation, and that with its field.
        return new BufError(
            (string)error["code"]!,
            (string)error["message"]!,
            DetailOf(error, "google.rpc.ErrorInfo") is { } info ? TextOf(FirstField(info)) : null,
            DetailOf(error, "google.rpc.BadRequest") is { } request ? TextOf(FirstField(FirstField(request))) : null);
    }

    /// <summary>What field 1 of a serialized message holds, where that begins with one, of text or a message.</summary>
    internal static ReadOnlySpan<byte> FirstField(ReadOnlySpan<byte> message)
    {
        Assert.Equal(0x0a, message[0]);
        int length = 0;
        int position = 1;
        byte part;
        do
        {
            part = message[position];
            length |= (part & 0x7f) << (7 * (position - 1));
            position++;
        }
        while ((part & 0x80) != 0);

        return message.Slice(position, length);
    }

    internal static string TextOf(ReadOnlySpan<byte> field) => Encoding.UTF8.GetString(field);

    private static byte[]? DetailOf(JsonNode error, string type)
    {
        JsonNode? detail = error["details"]?.AsArray().SingleOrDefault(detail => (string?)detail!["type"] == type);
        if (detail is null)
        {
            return null;
        }

        string value = (string)detail["value"]!;
        return Convert.FromBase64String(value.PadRight((value.Length + 3) / 4 * 4, '='));
    }
}
