using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class DecisionTests
{
    private static readonly BrokerPolicy Policy = PolicyReader.Read(
        """
        {
          "devices": {
            "sim0": {
              "simulated": { "bars": { "0": "1MiB", "2": "1MiB" } },
              "windows": {
                "left": { "bar": 2, "offset": 0, "length": "64KiB" },
                "right": { "bar": 2, "offset": "64KiB", "length": "64KiB" },
                "secret": { "bar": 0, "offset": 0, "length": "64KiB" },
              },
            },
            "other": { "simulated": { "bars": { "0": "1MiB" } } },
          },
          "grants": [
            { "uid": 1001, "device": "sim0", "windows": ["left"], "access": "read-only", "exclusive": false },
            { "uid": 1001, "device": "sim0", "windows": ["left"], "access": "read-write" },
            { "gid": 2000, "device": "sim0", "windows": ["right"], "access": "read-only" },
            { "gid": 2000, "device": "sim0", "areas": [ { "bar": 2, "offset": "0x80000", "length": "512KiB" } ], "access": "read-write" },
          ],
        }
        """u8,
        "policy.json");

    private static readonly BrokerPolicy PeerToPeer = PolicyReader.Read(
        """
        {
          "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": "4KiB" } } } },
          "grants": [
            { "uid": 1001, "device": "x", "windows": ["w"], "access": "read-write" },
            { "uid": 1001, "device": "x", "windows": ["w"], "access": "read-write", "p2p": true },
            { "uid": 1002, "device": "x", "windows": ["w"], "access": "read-write", "p2p": false },
            { "uid": 1003, "device": "x", "windows": ["w"], "access": "read-only" },
            { "uid": 1003, "device": "x", "windows": ["w"], "access": "read-write" },
            { "uid": 1004, "device": "x", "windows": ["w"], "access": "read-only" },
          ],
        }
        """u8,
        "policy.json");

    public static TheoryData<uint, uint, uint[], string, string, LeaseAccess, string> Windows => new()
    {
        { 1001, 100, [], "sim0", "left", LeaseAccess.ReadOnly, "grants[0]" },
        { 1001, 100, [], "sim0", "left", LeaseAccess.ReadWrite, "grants[1]" },
        { 7, 2000, [], "sim0", "right", LeaseAccess.ReadOnly, "grants[2]" },
        { 7, 100, [5, 2000], "sim0", "right", LeaseAccess.ReadOnly, "grants[2]" },
        { 7, 2000, [], "sim0", "right", LeaseAccess.ReadWrite, nameof(DenialReason.AccessNotGranted) },
        { 7, 2000, [], "sim0", "left", LeaseAccess.ReadOnly, nameof(DenialReason.WindowNotGranted) },
        { 7, 2000, [], "sim0", "nowhere", LeaseAccess.ReadOnly, nameof(DenialReason.WindowUnknown) },
        { 7, 2000, [], "sim0", "Right", LeaseAccess.ReadOnly, nameof(DenialReason.WindowUnknown) },
        { 7, 100, [], "sim0", "left", LeaseAccess.ReadOnly, nameof(DenialReason.PeerHasNoGrant) },
        { 2000, 1001, [1001], "sim0", "left", LeaseAccess.ReadOnly, nameof(DenialReason.PeerHasNoGrant) },
        { 0, 0, [0], "sim0", "left", LeaseAccess.ReadOnly, nameof(DenialReason.PeerHasNoGrant) },
        { 1001, 2000, [], "other", "left", LeaseAccess.ReadOnly, nameof(DenialReason.PeerHasNoGrant) },
        { 1001, 2000, [], "sim9", "left", LeaseAccess.ReadOnly, nameof(DenialReason.DeviceUnknown) },
    };

    public static TheoryData<uint, uint, int, ulong, ulong, LeaseAccess, string> Ranges => new()
    {
        { 7, 2000, 2, 0x80000, 0x80000, LeaseAccess.ReadWrite, "grants[3]" },
        { 7, 2000, 2, 0x80000, 0x1000, LeaseAccess.ReadOnly, "grants[3]" },
        { 7, 2000, 2, 0xff000, 0x1000, LeaseAccess.ReadWrite, "grants[3]" },
        { 7, 2000, 2, 0x7f000, 0x2000, LeaseAccess.ReadOnly, nameof(DenialReason.RangeNotGranted) },
        { 7, 2000, 2, 0xff000, 0x2000, LeaseAccess.ReadOnly, nameof(DenialReason.RangeNotGranted) },
        { 7, 2000, 0, 0x80000, 0x1000, LeaseAccess.ReadOnly, nameof(DenialReason.RangeNotGranted) },
        { 1001, 100, 2, 0, 0x1000, LeaseAccess.ReadOnly, nameof(DenialReason.RangeNotGranted) },
        { 7, 100, 2, 0x80000, 0x1000, LeaseAccess.ReadOnly, nameof(DenialReason.PeerHasNoGrant) },
    };

    [Theory]
    [MemberData(nameof(Windows))]
    public void A_window_is_decided_by_a_grant_that_fits_and_else_denied(
        uint uid, uint gid, uint[] groups, string device, string window, LeaseAccess access, string expected)
        => Assert.Equal(expected, Outcome(Policy.Decide(Peer(uid, gid, groups), new WindowTarget(device, window), access, p2p: false)));

    [Theory]
    [MemberData(nameof(Ranges))]
    public void A_range_is_granted_only_inside_one_area(uint uid, uint gid, int bar, ulong offset, ulong length, LeaseAccess access, string expected)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(bar, offset, length, out BarRange range));

        Assert.Equal(expected, Outcome(Policy.Decide(Peer(uid, gid, []), new RangeTarget("sim0", RangeList.Of(range)), access, p2p: false)));
    }

    [Fact]
    public void A_grant_says_whether_the_lease_is_exclusive()
    {
        PeerCredentials peer = Peer(1001, 100, []);

        Assert.False(Assert.IsType<Granted>(Policy.Decide(peer, new WindowTarget("sim0", "left"), LeaseAccess.ReadOnly, p2p: false)).Grant.Exclusive);
        Assert.True(Assert.IsType<Granted>(Policy.Decide(peer, new WindowTarget("sim0", "left"), LeaseAccess.ReadWrite, p2p: false)).Grant.Exclusive);
    }

    [Theory]
    [InlineData(1001, "", "grants[0]")]
    [InlineData(1001, "p2p", "grants[1]")]
    [InlineData(1002, "", "grants[2]")]
    [InlineData(1002, "p2p", nameof(DenialReason.P2PNotGranted))]
    [InlineData(1003, "p2p", nameof(DenialReason.P2PNotGranted))]
    [InlineData(1004, "p2p", nameof(DenialReason.AccessNotGranted))]
    [InlineData(1005, "p2p", nameof(DenialReason.PeerHasNoGrant))]
    public void A_peer_to_peer_lease_takes_a_grant_that_says_so(uint uid, string p2p, string expected)
        => Assert.Equal(expected, Outcome(PeerToPeer.Decide(Peer(uid, 100, []), new WindowTarget("x", "w"), LeaseAccess.ReadWrite, p2p.Length > 0)));

    [Theory]
    [InlineData(1001, new ulong[] { 0, 4, 1 }, "grants[0]")]
    [InlineData(1001, new ulong[] { 0, 2 }, nameof(DenialReason.RangeNotGranted))]
    [InlineData(1001, new ulong[] { 2 }, nameof(DenialReason.RangeNotGranted))]
    [InlineData(1002, new ulong[] { 0, 4 }, nameof(DenialReason.RangeNotGranted))]
    [InlineData(1002, new ulong[] { 4 }, "grants[2]")]
    public void Every_range_must_lie_in_an_area_of_one_grant(uint uid, ulong[] pages, string expected)
    {
        BrokerPolicy policy = PolicyReader.Read(
            """
            {
              "devices": { "x": { "simulated": { "bars": { "0": "1MiB" } } } },
              "grants": [
                { "uid": 1001, "device": "x", "access": "read-only", "areas": [ { "bar": 0, "offset": 0, "length": "8KiB" }, { "bar": 0, "offset": "16KiB", "length": "4KiB" } ] },
                { "uid": 1002, "device": "x", "access": "read-only", "areas": [ { "bar": 0, "offset": 0, "length": "8KiB" } ] },
                { "uid": 1002, "device": "x", "access": "read-only", "areas": [ { "bar": 0, "offset": "16KiB", "length": "4KiB" } ] },
              ],
            }
            """u8,
            "policy.json");
        RangeList ranges = Tests.Leases.Ranges.List([.. pages.Select(page => Tests.Leases.Ranges.Of(0, page, 1))]);

        Assert.Equal(expected, Outcome(policy.Decide(Peer(uid, 100, []), new RangeTarget("x", ranges), LeaseAccess.ReadOnly, p2p: false)));
    }

    [Fact]
    public void A_peer_sees_what_is_granted_to_it_once_and_nothing_else()
    {
        PeerView view = BrokerPolicy.ViewOf(Peer(1001, 2000, []), Policy.FindDevice("sim0")!);

        Assert.Equal([("left", LeaseAccess.ReadWrite), ("right", LeaseAccess.ReadOnly)], view.Windows.Select(entry => (entry.Window.Name, entry.Grant.Access)));
        Assert.Equal(0x80000UL, Assert.Single(view.Areas).Area.Range.Offset);
        Assert.True(BrokerPolicy.ViewOf(Peer(0, 0, []), Policy.FindDevice("sim0")!).IsEmpty);
    }

    [Fact]
    public void A_peer_sees_a_window_as_a_lease_of_it_will_be()
    {
        BrokerPolicy policy = PolicyReader.Read(
            """
            {
              "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": "4KiB" } } } },
              "grants": [
                { "uid": 1001, "device": "x", "windows": ["w"], "access": "read-only" },
                { "uid": 1001, "device": "x", "windows": ["w"], "access": "read-write", "memory": "write-combining", "exclusive": false },
                { "uid": 1001, "device": "x", "windows": ["w"], "access": "read-write", "p2p": true },
              ],
            }
            """u8,
            "policy.json");

        Grant seen = Assert.Single(BrokerPolicy.ViewOf(Peer(1001, 100, []), policy.FindDevice("x")!).Windows).Grant;
        Granted granted = Assert.IsType<Granted>(policy.Decide(Peer(1001, 100, []), new WindowTarget("x", "w"), seen.Access, p2p: false));

        Assert.Equal((granted.Grant.Memory, granted.Grant.Exclusive), (seen.Memory, seen.Exclusive));
        Assert.True(seen.P2P);
    }

    private static PeerCredentials Peer(uint uid, uint gid, uint[] groups) => new(uid, gid, [.. groups], 1);

    private static string Outcome(Decision decision) => decision switch
    {
        Granted granted => granted.Grant.KeyPath,
        Denied denied => denied.Reason.ToString(),
        _ => throw new InvalidOperationException(),
    };
}
