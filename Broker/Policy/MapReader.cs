namespace BarBroker.Policy;

/// <summary>Hands out the values of an object by key, and complains about keys that stand twice or that nobody knows.</summary>
internal sealed class MapReader
{
    private readonly JsonMap _map;
    private readonly PolicyErrors _errors;
    private readonly Dictionary<string, JsonItem> _values = new(StringComparer.Ordinal);

    private MapReader(JsonMap map, PolicyErrors errors)
    {
        _map = map;
        _errors = errors;
        foreach (JsonMember member in map.Members)
        {
            if (!_values.TryAdd(member.Name, member.Value))
            {
                errors.Add(member.At, member.Value.Path, $"this key stands here twice, first in line {FirstOf(member.Name).At.Line}. Leave one.");
            }
        }
    }

    /// <summary>An object whose keys are names that the file chooses. <paramref name="kind"/> says what is in it.</summary>
    public static IEnumerable<JsonMember> NamedMembers(JsonItem item, string kind, PolicyErrors errors)
    {
        if (item is not JsonMap map)
        {
            errors.Add(item, $"found {item.Shown}; this is an object of {kind}.");
            return [];
        }

        _ = new MapReader(map, errors);
        return map.Members.DistinctBy(member => member.Name);
    }

    /// <summary>An object with these keys and no others; null, with an error, for anything else.</summary>
    public static MapReader? Of(JsonItem item, PolicyErrors errors, params string[] keys)
    {
        if (item is not JsonMap map)
        {
            errors.Add(item, $"found {item.Shown}; this is an object with {string.Join(", ", keys.Select(key => $"\"{key}\""))}.");
            return null;
        }

        foreach (JsonMember member in map.Members.Where(member => !keys.Contains(member.Name)))
        {
            errors.Add(member.At, member.Value.Path, $"this key means nothing here. {NearestName.Suggest(member.Name, keys)}");
        }

        return new MapReader(map, errors);
    }

    /// <summary>The value of a key that may be left out.</summary>
    public JsonItem? Optional(string key) => _values.GetValueOrDefault(key);

    /// <summary>The value of a key that must be there. <paramref name="example"/> shows one.</summary>
    public JsonItem? Required(string key, string example)
    {
        JsonItem? value = Optional(key);
        if (value is null)
        {
            _errors.Add(_map, $"\"{key}\" is missing. Write for example \"{key}\": {example}.");
        }

        return value;
    }

    /// <summary>The one of these keys that is there, and its value; null, with an error, when none is or several are.</summary>
    public (string Key, JsonItem Value)? ExactlyOne(string meaning, params string[] keys)
    {
        string[] found = [.. keys.Where(key => Optional(key) is not null)];
        if (found is [var one])
        {
            return (one, _values[one]);
        }

        string problem = (found.Length, keys.Length) switch
        {
            (0, 2) => $"neither {List(keys, "nor")}",
            (0, _) => $"none of {List(keys, "and")}",
            (2, _) => $"both {List(found, "and")}",
            _ => List(found, "and"),
        };
        _errors.Add(_map, $"found {problem}. Exactly one of them says {meaning}.");
        return null;
    }

    private static string List(string[] keys, string last)
        => $"{string.Join(", ", keys[..^1].Select(key => $"\"{key}\""))} {last} \"{keys[^1]}\"";

    private JsonMember FirstOf(string name) => _map.Members.First(member => member.Name == name);
}
