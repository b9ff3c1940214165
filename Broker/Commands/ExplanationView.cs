using System.Text;
using System.Text.Json;
using BarBroker.Policy;

namespace BarBroker.Commands;

/// <summary>Shows an explanation, to people or to programs.</summary>
/// <param name="file">The policy file, as it was named.</param>
internal sealed class ExplanationView(string file)
{
    private const int MostOthers = 20;

    public IEnumerable<string> ToLines(Explanation explanation)
    {
        yield return explanation.Summary;
        if (explanation.Deciding is { } deciding)
        {
            yield return $"{PlaceOf(deciding.Grant)} decides: {string.Join(", ", deciding.Reasons)}.";
        }

        if (!explanation.Others.IsEmpty)
        {
            yield return "";
            yield return explanation.Deciding is null ? "What comes near:" : "What fits, too:";
        }

        foreach (GrantVerdict verdict in explanation.Others.Take(MostOthers))
        {
            yield return $"{PlaceOf(verdict.Grant)}: {string.Join("; ", verdict.Reasons)}.";
        }

        if (explanation.Others.Length > MostOthers)
        {
            yield return $"and {explanation.Others.Length - MostOthers} more.";
        }
    }

    /// <summary>All of it, in one object.</summary>
    public string ToJson(Explanation explanation)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, Encoder = JsonTree.ShownOptions.Encoder }))
        {
            json.WriteStartObject();
            json.WriteBoolean("granted", explanation.Decision is Granted);
            if (explanation.Decision is Denied { Reason: var reason })
            {
                json.WriteString("reason", reason.ToString());
            }

            json.WriteString("summary", explanation.Summary);
            json.WriteString("file", file);
            if (explanation.Deciding is { } deciding)
            {
                json.WritePropertyName("decidedBy");
                Write(json, deciding);
            }

            json.WriteStartArray("others");
            foreach (GrantVerdict verdict in explanation.Others)
            {
                Write(json, verdict);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Utf8JsonWriter json, GrantVerdict verdict)
    {
        json.WriteStartObject();
        json.WriteString("key", verdict.Grant.KeyPath);
        json.WriteNumber("line", verdict.Grant.At.Line);
        json.WriteNumber("column", verdict.Grant.At.Column);
        json.WriteStartArray("reasons");
        foreach (string reason in verdict.Reasons)
        {
            json.WriteStringValue(reason);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private string PlaceOf(Grant grant) => $"{file}:{grant.At.Line}:{grant.At.Column}: {grant.KeyPath}";
}
