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

    /// <summary>The one of two keys that is there; null, with an error, when neither or both are.</summary>
    public JsonItem? ExactlyOne(string first, string second, string meaning)
    {
        JsonItem? one = Optional(first);
        JsonItem? other = Optional(second);
        if (one is null == other is null)
        {
            _errors.Add(_map, $"found {(one is null ? "neither" : "both")} \"{first}\" {(one is null ? "nor" : "and")} \"{second}\". Exactly one of them says {meaning}.");
            return null;
        }

        return one ?? other;
    }

    private JsonMember FirstOf(string name) => _map.Members.First(member => member.Name == name);
}
