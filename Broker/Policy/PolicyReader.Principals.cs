using System.Collections.Immutable;
using System.Text.RegularExpressions;
using BarBroker.Unix;

namespace BarBroker.Policy;

internal sealed partial class PolicyReader
{
    // user_namespaces(7): what every user and group that has no number here appears as.
    private const uint OverflowId = 65534;

    private const int MostMembers = 8;

    private static readonly string[] MemberKeys = ["uid", "user", "gid", "group", "unit"];
    private static readonly string[] PrincipalKeys = [.. MemberKeys, "allOf"];

    private readonly IAccounts _accounts;

    /// <param name="map">What has one of <see cref="PrincipalKeys"/>.</param>
    /// <param name="meaning">What that key says, for the error.</param>
    private Principal? ReadPrincipal(MapReader map, string meaning)
        => map.ExactlyOne(meaning, PrincipalKeys) is not var (key, item) ? null
            : key == "allOf" ? ReadAllOf(item)
            : ReadMember(key, item);

    private AllOfPrincipal? ReadAllOf(JsonItem item)
    {
        ImmutableArray<JsonItem> items = ReadList(item, "objects such as { \"uid\": 1001 }");
        if (item is JsonList && items.Length is 0 or > MostMembers)
        {
            _errors.Add(item, $"found {items.Length} conditions; a process has to fulfil 1 to {MostMembers}.");
        }

        List<Principal> members = [];
        foreach (JsonItem element in items)
        {
            if (MapReader.Of(element, _errors, MemberKeys)?.ExactlyOne("whom it is for", MemberKeys) is not var (key, value) || ReadMember(key, value) is not { } member)
            {
                continue;
            }

            // A process has one uid and one unit, and any number of groups.
            if (members.Find(other => IsSame(other, member)) is { } same)
            {
                _errors.Add(value, $"{member} stands here already, as {same}. Leave one.");
            }
            else if (member is not GroupPrincipal && members.Find(other => other.GetType() == member.GetType()) is { } contrary)
            {
                _errors.Add(value, $"no process is both {contrary} and {member}. Leave one, or write a line for each.");
            }

            members.Add(member);
        }

        return members.Count > 0 && members.Count == items.Length ? new AllOfPrincipal([.. members]) : null;
    }

    private static bool IsSame(Principal one, Principal other) => (one, other) switch
    {
        (UserPrincipal left, UserPrincipal right) => left.Uid == right.Uid,
        (GroupPrincipal left, GroupPrincipal right) => left.Gid == right.Gid,
        _ => one == other,
    };

    private Principal? ReadMember(string key, JsonItem item)
    {
        switch (key)
        {
            case "unit":
                return ReadUnit(item);
            case "user" or "group":
                return ReadName(item, isUser: key == "user");
            default:
                bool isUser = key == "uid";
                if (item is not JsonNumber { Digits: var digits } || !TryParseId(digits, out uint id))
                {
                    string cure = item is JsonText ? $" A name goes under \"{(isUser ? "user" : "group")}\"." : "";
                    _errors.Add(item, $"found {item.Shown}; this is the number of a {(isUser ? "user" : "group")}, from 0 to {uint.MaxValue - 1}.{cure}");
                    return null;
                }

                return !CheckOverflow(item, id) ? null : isUser ? new UserPrincipal(id) : new GroupPrincipal(id);
        }
    }

    private bool CheckOverflow(JsonItem item, uint id)
    {
        if (id == OverflowId)
        {
            _errors.Add(item, $"{OverflowId} is how every user and group of a container appears that has no number on this host: such a grant would be for all of them. Choose another id.");
        }

        return id != OverflowId;
    }

    private Principal? ReadName(JsonItem item, bool isUser)
    {
        string kind = isUser ? "user" : "group";
        if (item is not JsonText { Value: var name } || !AccountName().IsMatch(name))
        {
            _errors.Add(item, $"found {item.Shown}; this is the name of a {kind}, such as \"{(isUser ? "alice" : DefaultClientGroup)}\". A number goes under \"{(isUser ? "uid" : "gid")}\".");
            return null;
        }

        try
        {
            uint? id = isUser ? _accounts.FindUid(name) : _accounts.FindGid(name);
            if (id is null)
            {
                _errors.Add(item, $"found {item.Shown}; this machine has no {kind} of that name (getent {(isUser ? "passwd" : "group")} {name}). Create it, or name another.");
            }

            return id is null || !CheckOverflow(item, id.Value) ? null : isUser ? new UserPrincipal(id.Value, name) : new GroupPrincipal(id.Value, name);
        }
        catch (UnixException exception)
        {
            _errors.Add(item, $"found {item.Shown}; its number can't be found out: {exception.Message}");
            return null;
        }
    }

    private UnitPrincipal? ReadUnit(JsonItem item)
    {
        if (item is JsonText { Value: var name } && SystemdUnit.IsName(name))
        {
            return new UnitPrincipal(name);
        }

        string cure = item is JsonText { Value: var bare } && SystemdUnit.IsName($"{bare}.service")
            ? $"the kind of unit is missing. Write \"{bare}.service\"."
            : "this is the name of a service or scope of the system's service manager, such as \"nvme-driver.service\".";
        _errors.Add(item, $"found {item.Shown}; {cure}");
        return null;
    }

    // What the name service takes: no digits alone, which are a number, and nothing that a passwd line or a C string ends at.
    [GeneratedRegex("^(?![0-9]+\\z)[^\\s:\\p{C}]{1,256}\\z", RegexOptions.CultureInvariant)]
    private static partial Regex AccountName();
}
