using System.Text.Json;
using BarBroker.Commands;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class ExplanationTests
{
    private static readonly BrokerPolicy Policy = PolicyReader.Read(
        """
        { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
            "doorbell-{0..31}": { "bar": 0, "offset": 0, "length": 4096, "stride": 4096 },
            "status": { "bar": 2, "offset": 0, "length": 4096 } } } },
          "grants": [
            { "uid": 1001, "device": "nvme0", "windows": ["doorbell-3"], "access": "read-write" },
            { "gid": 2000, "device": "nvme0", "windows": ["doorbell-*"], "access": "read-write" },
            { "gid": 2000, "device": "nvme0", "windows": ["doorbell-?"], "access": "read-only" },
            { "uid": 1001, "device": "nvme0", "windows": ["doorbell-?"], "access": "read-only" },
            { "uid": 1001, "device": "nvme0", "windows": ["doorbell-*"], "access": "read-only" },
            { "allOf": [{ "uid": 1002 }, { "unit": "a.service" }], "device": "nvme0", "windows": ["status"], "access": "read-only" },
            { "uid": 1003, "device": "nvme0", "areas": [{ "bar": 2, "offset": 0, "length": 8192 }], "access": "read-only" },
            { "uid": 1003, "device": "nvme0", "areas": [{ "bar": 2, "offset": 0, "length": 4096 }], "access": "read-only" } ] }
        """u8,
        "p.jsonc");

    [Fact]
    public void A_granted_request_names_the_line_that_decides_and_why_the_others_that_fit_do_not()
        => Assert.Equal(
            [
                "Granted to uid 1001 with gid 2000, in no unit: read-only lease of window 'doorbell-3' of device 'nvme0'.",
                "p.jsonc:5:5: grants[0] decides: it is for uid 1001, it names the window, it allows read-write exclusive leases.",
                "",
                "What fits, too:",
                "p.jsonc:6:5: grants[1]: it fits, too, and gid 2000 is less specific than uid 1001.",
                "p.jsonc:7:5: grants[2]: it fits, too, and gid 2000 is less specific than uid 1001.",
                "p.jsonc:8:5: grants[3]: it fits, too, and has a pattern, 'doorbell-?', not the window's name.",
                "p.jsonc:9:5: grants[4]: it fits, too, and has a pattern, 'doorbell-*', not the window's name.",
            ],
            Lines(Window("doorbell-3", uid: 1001, gid: 2000)));

    [Fact]
    public void Of_patterns_the_one_that_fits_fewer_windows_is_said_to_decide()
        => Assert.Equal(
            "p.jsonc:9:5: grants[4]: it fits, too, and its pattern 'doorbell-*' fits more windows: 32, not 10.",
            Lines(Window("doorbell-5", uid: 1001)).Last());

    [Fact]
    public void Of_areas_the_smaller_is_said_to_decide()
    {
        string[] lines = Lines(new PolicyQuestion(Peer(1003, uint.MaxValue, null), new RangeTarget("nvme0", Tests.Leases.Ranges.List(Tests.Leases.Ranges.Of(2, 0, 1))), LeaseAccess.ReadOnly, P2P: false));

        Assert.Equal("p.jsonc:12:5: grants[7] decides: it is for uid 1003, its areas contain the ranges, it allows read-only exclusive leases.", lines[1]);
        Assert.Equal("p.jsonc:11:5: grants[6]: it fits, too, and its areas are larger: 0x2000 bytes, not 0x1000.", lines[^1]);
    }

    [Fact]
    public void A_denied_request_names_every_grant_that_came_near_and_all_that_it_lacks()
        => Assert.Equal(
            [
                "Denied to uid 1002 with no groups, in unit b.service: read-write lease of window 'status' of device 'nvme0': no grant on the device is for this process.",
                "",
                "What comes near:",
                "p.jsonc:10:5: grants[5]: it is for uid 1002 and unit a.service, and the process is in unit b.service; it is read-only.",
            ],
            Lines(Window("status", uid: 1002, unit: "b.service", access: LeaseAccess.ReadWrite)));

    [Fact]
    public void The_nearest_grants_come_first()
    {
        string[] lines = Lines(Window("doorbell-5", uid: 1001, access: LeaseAccess.ReadWrite));

        Assert.Equal("Denied to uid 1001 with no groups, in no unit: read-write lease of window 'doorbell-5' of device 'nvme0': it is granted read-only.", lines[0]);
        Assert.Equal("p.jsonc:5:5: grants[0]: its windows are doorbell-3, not 'doorbell-5'.", lines[3]);
        Assert.Equal("p.jsonc:6:5: grants[1]: it is for gid 2000, and the process is not in gid 2000.", lines[4]);
        Assert.Equal("p.jsonc:8:5: grants[3]: it is read-only.", lines[5]);
        Assert.Equal("p.jsonc:7:5: grants[2]: it is for gid 2000, and the process is not in gid 2000; it is read-only.", lines[7]);
    }

    [Theory]
    [InlineData("nvme0", "statsu", "the device has no window of that name. Did you mean 'status'?")]
    [InlineData("nvme1", "status", "the policy has no device of that name. Did you mean 'nvme0'?")]
    public void A_name_that_does_not_exist_gets_the_nearest_one(string device, string window, string expected)
        => Assert.EndsWith(expected, Lines(new PolicyQuestion(Peer(1001, 2000, null), new WindowTarget(device, window), LeaseAccess.ReadOnly, P2P: false))[0], StringComparison.Ordinal);

    [Fact]
    public void Programs_get_the_same_as_JSON()
    {
        JsonElement granted = Json(Window("doorbell-3", uid: 1001));
        JsonElement denied = Json(Window("status", uid: 1));

        Assert.True(granted.GetProperty("granted").GetBoolean());
        Assert.Equal("p.jsonc", granted.GetProperty("file").GetString());
        Assert.Equal(("grants[0]", 5, 5), PlaceOf(granted.GetProperty("decidedBy")));
        Assert.Equal(["grants[3]", "grants[4]"], granted.GetProperty("others").EnumerateArray().Select(other => PlaceOf(other).Key));
        Assert.False(denied.GetProperty("granted").GetBoolean());
        Assert.Equal("PeerHasNoGrant", denied.GetProperty("reason").GetString());
        Assert.False(denied.TryGetProperty("decidedBy", out _));
        Assert.Equal(
            ["it is for uid 1002 and unit a.service, and the process has uid 1", "it is for uid 1002 and unit a.service, and the process is in no unit"],
            denied.GetProperty("others")[0].GetProperty("reasons").EnumerateArray().Select(reason => reason.GetString()));
    }

    private static (string? Key, int Line, int Column) PlaceOf(JsonElement verdict)
        => (verdict.GetProperty("key").GetString(), verdict.GetProperty("line").GetInt32(), verdict.GetProperty("column").GetInt32());

    private static JsonElement Json(PolicyQuestion question) => JsonDocument.Parse(new ExplanationView("p.jsonc").ToJson(Explanation.Of(Policy, question))).RootElement;

    private static string[] Lines(PolicyQuestion question) => [.. new ExplanationView("p.jsonc").ToLines(Explanation.Of(Policy, question))];

    private static PolicyQuestion Window(string window, uint uid, uint gid = uint.MaxValue, string? unit = null, LeaseAccess access = LeaseAccess.ReadOnly)
        => new(Peer(uid, gid, unit), new WindowTarget("nvme0", window), access, P2P: false);

    private static PeerCredentials Peer(uint uid, uint gid, string? unit) => new(uid, gid, [], 0) { Unit = unit };
}
