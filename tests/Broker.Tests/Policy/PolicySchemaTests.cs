using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using BarBroker.Policy;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed partial class PolicySchemaTests
{
    private const string Simulated = "\"simulated\": { \"bars\": { \"0\": 4096 } }";

    private static readonly (string What, bool IsNonsense, Action<JsonNode> Change)[] Changes =
    [
        ("left out", false, node => Replace(node, isRemoval: true)),
        ("null", true, node => Replace(node, isRemoval: false)),
        ("one thing more", true, AddNonsense),
        ("empty", false, Clear),
    ];

    private static readonly string Example = ReadFile("deploy/policy.example.jsonc");
    private static readonly JsonObject Schema = JsonNode.Parse(ReadFile("deploy/policy.schema.json"))!.AsObject();

    /// <summary>A definition of the schema, and a file whose place for it has a number, which makes the reader name the keys that it knows.</summary>
    public static TheoryData<string, string> Objects => new()
    {
        { "", "7" },
        { "device", "{ \"devices\": { \"x\": 7 } }" },
        { "simulated", "{ \"devices\": { \"x\": { \"simulated\": 7 } } }" },
        { "window", "{ \"devices\": { \"x\": { " + Simulated + ", \"windows\": { \"w\": 7 } } } }" },
        { "range", "{ \"devices\": { \"x\": { " + Simulated + ", \"windows\": { \"w\": { \"bar\": 0, \"ranges\": [7] } } } } }" },
        { "grant", "{ \"devices\": { \"x\": { " + Simulated + " } }, \"grants\": [7] }" },
        { "area", "{ \"devices\": { \"x\": { " + Simulated + " } }, \"grants\": [{ \"uid\": 1, \"device\": \"x\", \"access\": \"read-only\", \"areas\": [7] }] }" },
        { "condition", "{ \"devices\": { \"x\": { " + Simulated + " } }, \"admins\": [{ \"allOf\": [7], \"scopes\": [\"view\"] }] }" },
        { "admin", "{ \"devices\": { \"x\": { " + Simulated + " } }, \"admins\": [7] }" },
    };

    [Theory]
    [MemberData(nameof(Objects))]
    public void The_schema_has_the_keys_that_the_reader_knows_and_no_others(string definition, string policy)
    {
        PolicyError error = Assert.Single(Assert.Throws<PolicyException>(() => Read(policy)).Errors);
        Assert.StartsWith("found 7; this is an object with ", error.Message, StringComparison.Ordinal);
        JsonObject schema = definition.Length == 0 ? Schema : Schema["$defs"]![definition]!.AsObject();

        Assert.Equal(QuotedWord().Matches(error.Message).Select(match => match.Groups[1].Value).Order(), schema["properties"]!.AsObject().Select(entry => entry.Key).Order());
    }

    [Fact]
    public void Every_object_of_the_schema_that_refuses_other_keys_is_compared_with_the_reader()
        => Assert.Equal(
            Schema["$defs"]!.AsObject().Where(entry => entry.Value!["additionalProperties"] is JsonValue).Select(entry => entry.Key).Append("").Order(),
            Objects.Select(row => row.Data.Item1).Order());

    [Fact]
    public void The_example_is_a_policy_to_the_reader_and_to_the_schema_and_has_every_key()
    {
        Assert.Equal(5, Read(Example).Devices.Sum(device => device.Grants.Length));
        Assert.True(new JsonSchema(Schema).Accepts(Parse(Example)));

        IEnumerable<string> known = Schema["$defs"]!.AsObject().Select(entry => entry.Value!.AsObject()).Append(Schema)
            .SelectMany(schema => schema["properties"]?.AsObject().Select(entry => entry.Key) ?? []);
        Assert.All(known, key => Assert.Contains($"\"{key}\":", Example, StringComparison.Ordinal));
    }

    /// <summary>Of each value in the example: left out; null instead. Of each object and array: with one thing more, and empty.</summary>
    [Fact]
    public void What_the_schema_refuses_the_reader_refuses_and_neither_takes_a_key_or_value_of_no_meaning()
    {
        JsonSchema schema = new(Schema);
        int refused = 0;
        foreach ((string what, bool isNonsense, JsonNode policy) in Mutations())
        {
            bool byReader = Record.Exception(() => Read(policy.ToJsonString())) is PolicyException;
            bool bySchema = !schema.Accepts(policy);

            Assert.True(byReader || !bySchema, $"The schema alone refuses it: {what}.");
            Assert.True((byReader && bySchema) || !isNonsense, $"It is nonsense, refused by reader {byReader}, by schema {bySchema}: {what}.");
            refused += bySchema ? 1 : 0;
        }

        Assert.InRange(refused, 100, 1000);
    }

    private static IEnumerable<(string What, bool IsNonsense, JsonNode Policy)> Mutations()
    {
        int count = All(Parse(Example)).Count();
        for (int i = 0; i < count; i++)
        {
            foreach ((string what, bool isNonsense, Action<JsonNode> change) in Changes)
            {
                JsonNode policy = Parse(Example);
                JsonNode node = All(policy).ElementAt(i);
                string path = node.GetPath();
                string before = policy.ToJsonString();
                change(node);
                if (policy.ToJsonString() != before)
                {
                    yield return ($"{path} {what}", isNonsense, policy);
                }
            }
        }
    }

    private static IEnumerable<JsonNode> All(JsonNode node) => node switch
    {
        JsonObject map => map.SelectMany(entry => All(entry.Value!)).Prepend(node),
        JsonArray list => list.SelectMany(item => All(item!)).Prepend(node),
        _ => [node],
    };

    private static void Replace(JsonNode node, bool isRemoval)
    {
        switch (node.Parent)
        {
            case JsonObject map when isRemoval:
                map.Remove(node.GetPropertyName());
                break;
            case JsonObject map:
                map[node.GetPropertyName()] = null;
                break;
            case JsonArray list when isRemoval:
                list.Remove(node);
                break;
            case JsonArray list:
                list[node.GetElementIndex()] = null;
                break;
        }
    }

    private static void AddNonsense(JsonNode node)
    {
        (node as JsonObject)?.Add("nonsense", 1);
        (node as JsonArray)?.Add(null);
    }

    private static void Clear(JsonNode node)
    {
        (node as JsonObject)?.Clear();
        (node as JsonArray)?.Clear();
    }

    private static JsonNode Parse(string text)
        => JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true })!;

    private static BrokerPolicy Read(string text) => PolicyReader.Read(Encoding.UTF8.GetBytes(text), "policy.json", new AnyAccounts());

    private static string ReadFile(string path)
    {
        DirectoryInfo directory = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Broker.sln")))
        {
            directory = directory.Parent!;
        }

        return File.ReadAllText(Path.Combine(directory.FullName, path));
    }

    [GeneratedRegex("\"([^\"]+)\"")]
    private static partial Regex QuotedWord();

    private sealed class AnyAccounts : IAccounts
    {
        public uint? FindUid(string name) => 1000 + (uint)name.Length;

        public uint? FindGid(string name) => 3000 + (uint)name.Length;
    }
}
