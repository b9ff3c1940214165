using System.Collections.Immutable;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    private static readonly (string Word, AdminScopes Scope)[] ScopeWords =
        [("view", AdminScopes.View), ("revoke", AdminScopes.Revoke), ("devices", AdminScopes.Devices)];

    private ImmutableArray<Admin> ReadAdmins(JsonItem item, ImmutableArray<DeviceDraft> devices)
        => [.. ReadList(item, "admins").Select(admin => ReadAdmin(admin, devices)).OfType<Admin>()];

    private Admin? ReadAdmin(JsonItem item, ImmutableArray<DeviceDraft> devices)
    {
        if (MapReader.Of(item, _errors, [.. PrincipalKeys, "scopes", "devices"]) is not { } map)
        {
            return null;
        }

        Principal? principal = ReadPrincipal(map, "who the admin is");
        AdminScopes scopes = map.Required("scopes", "[\"view\"]") is { } words ? ReadScopes(words) : AdminScopes.None;
        ImmutableArray<string> names = [];
        if (map.Optional("devices") is { } list)
        {
            names = ReadDistinct(list, "device names", element => ReadDeviceName(element, devices)?.Name);
            if (list is JsonList { Items.IsEmpty: true })
            {
                _errors.Add(list, "there is no device here, and so nothing to administrate. Name one, or leave \"devices\" out for all.");
            }
        }

        return principal is null || scopes == AdminScopes.None ? null : new Admin(principal, scopes, names, item.At, item.Path);
    }

    private AdminScopes ReadScopes(JsonItem item)
    {
        if (item is JsonList { Items.IsEmpty: true })
        {
            _errors.Add(item, $"there is no scope here, and so nothing that the admin may do. {ScopeForms}");
        }

        return ReadDistinct(item, "scopes", ReadScope).Aggregate(AdminScopes.None, (all, word) => all | ScopeWords.First(entry => entry.Word == word).Scope);
    }

    private string? ReadScope(JsonItem item)
    {
        if (item is JsonText { Value: var word } && ScopeWords.Any(entry => entry.Word == word))
        {
            return word;
        }

        string hint = item is JsonText { Value: var found } ? NearestName.Suggest(found, [.. ScopeWords.Select(entry => entry.Word)]) : ScopeForms;
        _errors.Add(item, $"found {item.Shown}; this is no scope. {hint}");
        return null;
    }

    private static string ScopeForms => $"Known are: {string.Join(", ", ScopeWords.Select(entry => entry.Word))}.";

    /// <summary>What the elements of a list mean, each once.</summary>
    private ImmutableArray<string> ReadDistinct(JsonItem item, string kind, Func<JsonItem, string?> read)
    {
        List<string> values = [];
        foreach (JsonItem element in ReadList(item, kind))
        {
            if (read(element) is not { } value)
            {
                continue;
            }

            if (values.Contains(value))
            {
                _errors.Add(element, $"found {element.Shown} for the second time. Leave one.");
            }

            values.Add(value);
        }

        return [.. values];
    }
}
