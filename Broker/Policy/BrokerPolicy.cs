using System.Collections.Frozen;
using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>A valid policy. Says no to whatever it does not say yes to.</summary>
internal sealed class BrokerPolicy
{
    private readonly FrozenDictionary<string, DeviceDefinition> _devices;

    public BrokerPolicy(string runtimeDirectory, ClientGroup clientGroup, ImmutableArray<DeviceDefinition> devices, ImmutableArray<Admin> admins)
    {
        RuntimeDirectory = runtimeDirectory;
        ClientGroup = clientGroup;
        Devices = devices;
        Admins = admins;
        _devices = devices.ToFrozenDictionary(device => device.Name, StringComparer.Ordinal);
    }

    /// <summary>Where the sockets are made.</summary>
    public string RuntimeDirectory { get; }

    /// <summary>Who may connect.</summary>
    public ClientGroup ClientGroup { get; }

    /// <summary>In the order of the file.</summary>
    public ImmutableArray<DeviceDefinition> Devices { get; }

    /// <summary>Those who may administrate, in the order of the file.</summary>
    public ImmutableArray<Admin> Admins { get; }

    /// <summary>The device of that name, or null.</summary>
    public DeviceDefinition? FindDevice(string name) => _devices.GetValueOrDefault(name);

    /// <summary>
    /// Decides whether <paramref name="peer"/> may have a lease: the most specific grant that fits does, as <see cref="GrantIndex"/> finds it. A pure
    /// function of the policy and its arguments.
    /// </summary>
    public Decision Decide(PeerCredentials peer, LeaseTarget target, LeaseAccess access, bool p2p)
    {
        if (FindDevice(target.Device) is not { } device)
        {
            return new Denied(DenialReason.DeviceUnknown);
        }

        Window? window = null;
        Grant? grant = null;
        Shortfall shortfall = Shortfall.None;
        if (target is RangeTarget { Ranges: var ranges })
        {
            grant = device.Index.FindForRanges(peer, ranges, access, p2p, out shortfall);
        }
        else
        {
            ranges = null;
            window = device.FindWindow(((WindowTarget)target).Window);
            grant = window is null ? null : device.Index.FindForWindow(peer, window, access, p2p, out shortfall);
        }

        return grant is not null
            ? new Granted(grant, device, window?.Name, ranges ?? window!.Ranges)
            : new Denied(target switch
            {
                // With this access, at least.
                _ when shortfall.HasFlag(Shortfall.P2P) => DenialReason.P2PNotGranted,
                _ when shortfall.HasFlag(Shortfall.Access) => DenialReason.AccessNotGranted,
                _ when !device.Index.HasGrantFor(peer) => DenialReason.PeerHasNoGrant,
                RangeTarget => DenialReason.RangeNotGranted,
                _ => window is null ? DenialReason.WindowUnknown : DenialReason.WindowNotGranted,
            });
    }

    /// <summary>
    /// Decides whether <paramref name="peer"/> may do what is of <paramref name="scope"/>. A pure function of the policy and its arguments; what files'
    /// permissions allow on admin.sock is none of its business.
    /// </summary>
    /// <param name="peer">Who.</param>
    /// <param name="scope">One scope.</param>
    /// <param name="device">The device that it is about; null for what is about all of them, such as revoking every lease.</param>
    public bool MayAdministrate(PeerCredentials peer, AdminScopes scope, string? device) => Admins.Any(admin => admin.Allows(peer, scope, device));

    /// <summary>What <paramref name="peer"/> may lease of <paramref name="device"/>, each window as <see cref="Decide"/> has it leased.</summary>
    public static PeerView ViewOf(PeerCredentials peer, DeviceDefinition device) => device.Index.ViewFor(peer);
}

/// <summary>What one peer may lease of one device.</summary>
/// <param name="Windows">Each window once, with the most specific grant that allows the most access; P2P is set if any grant allows that.</param>
/// <param name="Areas">Each area with its grant.</param>
internal sealed record PeerView(ImmutableArray<(Window Window, Grant Grant)> Windows, ImmutableArray<(Area Area, Grant Grant)> Areas)
{
    public static PeerView Empty { get; } = new([], []);

    /// <summary>Nothing: the peer is not to hear of the device.</summary>
    public bool IsEmpty => Windows.IsEmpty && Areas.IsEmpty;
}

/// <summary>The group of broker.sock, by name or by number. Exactly one is set.</summary>
internal sealed record ClientGroup(string? Name, uint? Gid)
{
    /// <inheritdoc/>
    public override string ToString() => Name ?? $"{Gid}";
}
