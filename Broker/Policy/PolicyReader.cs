using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using BarBroker.Devices;

namespace BarBroker.Policy;

/// <summary>Turns JSON into a policy, or into a list of all that is wrong with it.</summary>
internal sealed partial class PolicyReader
{
    public const string DefaultRuntimeDirectory = "/run/bar-broker";
    public const string DefaultClientGroup = "bar-lease";

    // sun_path of unix(7) has room for 107 bytes and a terminator.
    private const int LongestSocketPath = 107;
    private const string LongestSocketName = "/broker.sock";

    private readonly PolicyErrors _errors;

    private PolicyReader(PolicyErrors errors, IAccounts accounts)
    {
        _errors = errors;
        _accounts = accounts;
    }

    /// <param name="text">What the file says.</param>
    /// <param name="file">Its name, for errors.</param>
    /// <param name="accounts">What names of users and groups stand for; null: what they do on this machine.</param>
    /// <exception cref="PolicyException">With everything that is wrong.</exception>
    public static BrokerPolicy Read(ReadOnlySpan<byte> text, string file, IAccounts? accounts = null)
    {
        ReadOnlySpan<byte> byteOrderMark = [0xef, 0xbb, 0xbf];
        PolicyErrors errors = new(file);
        JsonItem? root = JsonTree.Read(text.StartsWith(byteOrderMark) ? text[byteOrderMark.Length..] : text, errors);
        errors.ThrowIfAny();
        BrokerPolicy? policy = new PolicyReader(errors, accounts ?? MachineAccounts.Instance).ReadRoot(root!);
        errors.ThrowIfAny();
        return policy!;
    }

    private BrokerPolicy? ReadRoot(JsonItem root)
    {
        if (MapReader.Of(root, _errors, "runtimeDirectory", "clientGroup", "devices", "grants", "admins", "$schema") is not { } map)
        {
            return null;
        }

        // Editors look for it; it says nothing to the broker.
        if (map.Optional("$schema") is { } schema and not JsonText)
        {
            _errors.Add(schema, $"found {schema.Shown}; this is where editors find the schema, such as \"policy.schema.json\".");
        }

        string runtimeDirectory = map.Optional("runtimeDirectory") is { } directory ? ReadDirectory(directory) : DefaultRuntimeDirectory;
        ClientGroup group = map.Optional("clientGroup") is { } name ? ReadClientGroup(name) : new ClientGroup(DefaultClientGroup, null);
        ImmutableArray<DeviceDraft> drafts = map.Required("devices", "{ \"nvme0\": { \"address\": \"0000:01:00.0\" } }") is { } devices ? ReadDevices(devices) : [];
        if (map.Optional("grants") is { } grants)
        {
            ReadGrants(grants, drafts);
        }

        ImmutableArray<Admin> admins = map.Optional("admins") is { } list ? ReadAdmins(list, drafts) : [];

        return _errors.Any ? null : new BrokerPolicy(runtimeDirectory, group, [.. drafts.Select(draft => draft.ToDefinition())], admins);
    }

    private string ReadDirectory(JsonItem item)
    {
        if (item is not JsonText { Value: ['/', ..] path } || path.Contains('\0', StringComparison.Ordinal))
        {
            _errors.Add(item, $"found {item.Shown}; this is an absolute path such as \"{DefaultRuntimeDirectory}\".");
            return DefaultRuntimeDirectory;
        }

        string trimmed = path.TrimEnd('/') is { Length: > 0 } rest ? rest : "/";
        int room = LongestSocketPath - LongestSocketName.Length;
        if (Encoding.UTF8.GetByteCount(trimmed) > room)
        {
            _errors.Add(item, $"found a path of {Encoding.UTF8.GetByteCount(trimmed)} bytes; at most {room} leave room for the names of the sockets in it.");
        }

        return trimmed;
    }

    private ClientGroup ReadClientGroup(JsonItem item)
    {
        switch (item)
        {
            case JsonText { Value: var name } when name.Length > 0 && !name.All(char.IsAsciiDigit) && !name.Contains(':', StringComparison.Ordinal):
                return new ClientGroup(name, null);
            case JsonText { Value: var digits } when TryParseId(digits, out uint gid):
                return new ClientGroup(null, gid);
            case JsonNumber { Digits: var digits } when TryParseId(digits, out uint gid):
                return new ClientGroup(null, gid);
            default:
                _errors.Add(item, $"found {item.Shown}; this is the name or the number of a group, such as \"{DefaultClientGroup}\" or 2000.");
                return new ClientGroup(DefaultClientGroup, null);
        }
    }

    /// <summary>A user or group id. The highest 32-bit number means "nobody in particular" to the kernel, never an id.</summary>
    private static bool TryParseId(string digits, out uint id)
        => uint.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out id) && id != uint.MaxValue;

    private ulong? ReadBytes(JsonItem? item)
    {
        switch (item)
        {
            case null:
                return null;
            case JsonText or JsonNumber:
                string text = item is JsonText written ? written.Value : ((JsonNumber)item).Digits;
                if (ByteCount.TryParse(text, out ulong bytes, out string problem))
                {
                    return bytes;
                }

                _errors.Add(item, $"found {item.Shown}; {problem}");
                return null;
            default:
                _errors.Add(item, $"found {item.Shown}; write {ByteCount.Forms}.");
                return null;
        }
    }

    private ulong? ReadPages(JsonItem? item, bool canBeZero)
    {
        ulong? bytes = ReadBytes(item);
        if (bytes is { } value && value % BarRange.PageSize != 0)
        {
            ulong below = value - (value % BarRange.PageSize);
            string above = below > ulong.MaxValue - BarRange.PageSize ? "" : $" or 0x{below + BarRange.PageSize:x}";
            _errors.Add(item!, $"found {item!.Shown}, 0x{value:x}; this is a multiple of the page size, 0x1000, such as 0x{below:x}{above}.");
            return null;
        }

        if (bytes == 0 && !canBeZero)
        {
            _errors.Add(item!, $"found {item!.Shown}; the least is one page, 0x1000.");
            return null;
        }

        return bytes;
    }

    /// <summary>The "bar", "offset" and "length" of an object.</summary>
    private BarRange? ReadRange(MapReader map, JsonItem item)
        => ReadRange(map, item, map.Required("bar", "0") is { } number ? ReadBarIndex(number) : null);

    /// <summary>The "offset" and "length" of an object; null, too, when there is no <paramref name="bar"/> for them.</summary>
    private BarRange? ReadRange(MapReader map, JsonItem item, long? bar)
    {
        ulong? offset = ReadPages(map.Required("offset", "\"0x1000\""), canBeZero: true);
        ulong? length = ReadPages(map.Required("length", "\"4KiB\""), canBeZero: false);
        if (bar is null || offset is null || length is null)
        {
            return null;
        }

        if (BarRange.TryCreate(bar.Value, offset.Value, length.Value, out BarRange range) != RangeError.None)
        {
            _errors.Add(item, $"offset 0x{offset:x} plus length 0x{length:x} is more than 64 bits hold.");
            return null;
        }

        return range;
    }

    private long? ReadBarIndex(JsonItem item)
    {
        if (item is JsonNumber { Digits: [>= '0' and <= '5'] digits })
        {
            return digits[0] - '0';
        }

        _errors.Add(item, $"found {item.Shown}; a BAR is a number from 0 to 5.");
        return null;
    }
}
