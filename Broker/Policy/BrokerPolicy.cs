using System.Collections.Frozen;
using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>A valid policy. Says no to whatever it does not say yes to.</summary>
internal sealed class BrokerPolicy
{
    private readonly FrozenDictionary<string, DeviceDefinition> _devices;

    public BrokerPolicy(string runtimeDirectory, ClientGroup clientGroup, ImmutableArray<DeviceDefinition> devices)
    {
        RuntimeDirectory = runtimeDirectory;
        ClientGroup = clientGroup;
        Devices = devices;
        _devices = devices.ToFrozenDictionary(device => device.Name, StringComparer.Ordinal);
    }

    /// <summary>Where the sockets are made.</summary>
    public string RuntimeDirectory { get; }

    /// <summary>Who may connect.</summary>
    public ClientGroup ClientGroup { get; }

    /// <summary>In the order of the file.</summary>
    public ImmutableArray<DeviceDefinition> Devices { get; }

    /// <summary>The device of that name, or null.</summary>
    public DeviceDefinition? FindDevice(string name) => _devices.GetValueOrDefault(name);

    /// <summary>Decides whether <paramref name="peer"/> may have a lease. A pure function of the policy and its arguments.</summary>
    public Decision Decide(PeerCredentials peer, LeaseTarget target, LeaseAccess access, bool p2p)
    {
        if (FindDevice(target.Device) is not { } device)
        {
            return new Denied(DenialReason.DeviceUnknown);
        }

        Window? wantedWindow = target is WindowTarget { Window: var name } ? device.FindWindow(name) : null;
        bool peerHasGrant = false;
        DenialReason? tooLow = null;
        foreach (Grant grant in device.Grants)
        {
            if (!grant.Principal.Matches(peer))
            {
                continue;
            }

            peerHasGrant = true;
            bool fits = target is RangeTarget { Ranges: var wanted } ? Allows(grant, wanted) : wantedWindow is not null && Selects(grant, wantedWindow);
            if (!fits)
            {
                continue;
            }

            if (!grant.Allows(access))
            {
                tooLow ??= DenialReason.AccessNotGranted;
            }
            else if (p2p && !grant.P2P)
            {
                // With this access, at least.
                tooLow = DenialReason.P2PNotGranted;
            }
            else
            {
                return new Granted(grant, device, wantedWindow?.Name, wantedWindow?.Ranges ?? ((RangeTarget)target).Ranges);
            }
        }

        return new Denied(tooLow ?? (peerHasGrant, target) switch
        {
            (false, _) => DenialReason.PeerHasNoGrant,
            (_, WindowTarget) when wantedWindow is null => DenialReason.WindowUnknown,
            (_, WindowTarget) => DenialReason.WindowNotGranted,
            _ => DenialReason.RangeNotGranted,
        });
    }

    /// <summary>
    /// What <paramref name="peer"/> may lease of <paramref name="device"/>. A window is described as <see cref="Decide"/> has it leased, with
    /// the most access that there is for it and not peer-to-peer.
    /// </summary>
    public static PeerView ViewOf(PeerCredentials peer, DeviceDefinition device)
    {
        ImmutableArray<Grant> grants = [.. device.Grants.Where(grant => grant.Principal.Matches(peer))];
        ImmutableArray<(Window, Grant)> windows =
        [
            .. from window in device.Windows
               let granting = grants.Where(grant => Selects(grant, window)).ToList()
               where granting.Count > 0
               select (window, granting.MaxBy(grant => grant.Access == LeaseAccess.ReadWrite)! with { P2P = granting.Exists(grant => grant.P2P) }),
        ];
        return new PeerView(windows, [.. grants.SelectMany(grant => grant.Areas, (grant, area) => (area, grant))]);
    }

    private static bool Selects(Grant grant, Window window) => grant.Windows.Any(selector => selector.Selects(window.Name));

    private static bool Allows(Grant grant, RangeList ranges) => ranges.Items.All(range => grant.Areas.Any(area => area.Range.Contains(range)));
}

/// <summary>What one peer may lease of one device.</summary>
/// <param name="Windows">Each window once, with the first grant that allows the most access; P2P is set if any grant allows that.</param>
/// <param name="Areas">Each area with its grant.</param>
internal sealed record PeerView(ImmutableArray<(Window Window, Grant Grant)> Windows, ImmutableArray<(Area Area, Grant Grant)> Areas)
{
    /// <summary>Nothing: the peer is not to hear of the device.</summary>
    public bool IsEmpty => Windows.IsEmpty && Areas.IsEmpty;
}

/// <summary>The group of broker.sock, by name or by number. Exactly one is set.</summary>
internal sealed record ClientGroup(string? Name, uint? Gid)
{
    /// <inheritdoc/>
    public override string ToString() => Name ?? $"{Gid}";
}
