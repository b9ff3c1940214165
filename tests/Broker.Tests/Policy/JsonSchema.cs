using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace BarBroker.Tests.Policy;

/// <summary>As much of JSON Schema (draft 2020-12) as the policy's schema uses; any other keyword is an error, not passed over.</summary>
internal sealed class JsonSchema(JsonObject root)
{
    private static readonly string[] Annotations = ["$schema", "$defs", "title", "description", "default"];

    public bool Accepts(JsonNode? value) => Accepts(root, value);

    private bool Accepts(JsonObject schema, JsonNode? value) => schema.All(keyword => Annotations.Contains(keyword.Key) || Holds(keyword.Key, keyword.Value!, schema, value));

    private bool Holds(string keyword, JsonNode argument, JsonObject schema, JsonNode? value)
    {
        JsonObject? map = value as JsonObject;
        JsonArray? list = value as JsonArray;
        string? text = value is JsonValue && value.GetValueKind() == System.Text.Json.JsonValueKind.String ? value.GetValue<string>() : null;
        decimal? number = value is JsonValue && value.GetValueKind() == System.Text.Json.JsonValueKind.Number ? decimal.Parse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture) : null;
        return keyword switch
        {
            "$ref" => Accepts(Resolve(argument.GetValue<string>()), value),
            "type" => argument.GetValue<string>() switch
            {
                "object" => map is not null,
                "array" => list is not null,
                "string" => text is not null,
                "integer" => number is { } integer && integer == decimal.Truncate(integer),
                "boolean" => value?.GetValueKind() is System.Text.Json.JsonValueKind.True or System.Text.Json.JsonValueKind.False,
                var type => throw new InvalidOperationException($"type {type}"),
            },
            "enum" => argument.AsArray().Any(allowed => JsonNode.DeepEquals(allowed, value)),
            "const" => JsonNode.DeepEquals(argument, value),
            "oneOf" => argument.AsArray().Count(choice => Accepts(choice!.AsObject(), value)) == 1,
            "anyOf" => argument.AsArray().Any(choice => Accepts(choice!.AsObject(), value)),
            "not" => !Accepts(argument.AsObject(), value),
            "required" => map is null || argument.AsArray().All(key => map.ContainsKey(key!.GetValue<string>())),
            "dependentRequired" => map is null || argument.AsObject().All(entry => !map.ContainsKey(entry.Key) || entry.Value!.AsArray().All(key => map.ContainsKey(key!.GetValue<string>()))),
            "properties" => map is null || argument.AsObject().All(entry => !map.ContainsKey(entry.Key) || Accepts(entry.Value!.AsObject(), map[entry.Key])),
            "propertyNames" => map is null || map.All(entry => Accepts(argument.AsObject(), JsonValue.Create(entry.Key))),
            "additionalProperties" => map is null || map.Where(entry => schema["properties"]?.AsObject().ContainsKey(entry.Key) is not true)
                .All(entry => argument is JsonObject others ? Accepts(others, entry.Value) : argument.GetValue<bool>()),
            "minProperties" => map is null || map.Count >= argument.GetValue<int>(),
            "maxProperties" => map is null || map.Count <= argument.GetValue<int>(),
            "items" => list is null || list.All(item => Accepts(argument.AsObject(), item)),
            "minItems" => list is null || list.Count >= argument.GetValue<int>(),
            "maxItems" => list is null || list.Count <= argument.GetValue<int>(),
            "uniqueItems" => list is null || list.Select(item => item?.ToJsonString()).Distinct().Count() == list.Count,
            "minLength" => text is null || text.Length >= argument.GetValue<int>(),
            "maxLength" => text is null || text.Length <= argument.GetValue<int>(),
            "pattern" => text is null || Regex.IsMatch(text, argument.GetValue<string>(), RegexOptions.ECMAScript),
            "minimum" => number is null || number >= argument.GetValue<long>(),
            "maximum" => number is null || number <= argument.GetValue<long>(),
            "multipleOf" => number is null || number % argument.GetValue<long>() == 0,
            _ => throw new InvalidOperationException($"keyword {keyword}"),
        };
    }

    private JsonObject Resolve(string reference)
    {
        const string Prefix = "#/$defs/";
        return root["$defs"]![reference.StartsWith(Prefix, StringComparison.Ordinal) ? reference[Prefix.Length..] : throw new InvalidOperationException(reference)]!.AsObject();
    }
}
