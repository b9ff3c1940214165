using System.Text;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class WindowPatternTests
{
    [Theory]
    [InlineData("doorbell-*", "doorbell-3", true)]
    [InlineData("doorbell-*", "doorbell-", true)]
    [InlineData("doorbell-*", "doorbell", false)]
    [InlineData("doorbell-*", "xdoorbell-3", false)]
    [InlineData("doorbell-*", "Doorbell-3", false)]
    [InlineData("doorbell-?", "doorbell-3", true)]
    [InlineData("doorbell-?", "doorbell-31", false)]
    [InlineData("doorbell-?", "doorbell-", false)]
    [InlineData("*", "anything", true)]
    [InlineData("**", "anything", true)]
    [InlineData("*-rx-*", "q-rx-tx-rx-1", true)]
    [InlineData("*-rx", "q-rx-tx", false)]
    [InlineData("*a*b*c", "aabbcabc", true)]
    [InlineData("*a*b*c", "aabbcab", false)]
    [InlineData("?*?", "ab", true)]
    [InlineData("?*?", "a", false)]
    [InlineData("a.c*", "abc", false)]
    public void A_star_is_any_characters_and_a_question_mark_one(string pattern, string name, bool expected)
        => Assert.Equal(expected, WindowSelector.Fits(pattern, name));

    [Fact]
    public void A_grant_is_for_all_windows_that_its_patterns_and_names_select_and_for_no_others()
    {
        BrokerPolicy policy = Read("""{ "uid": 1, "device": "x", "windows": ["door-?", "status"], "access": "read-only" }""");
        string[] asked = ["door-0", "door-9", "door-10", "status", "other", "door-?"];

        Assert.Equal(
            ["door-0", "door-9", "status"],
            asked.Where(window => policy.Decide(
                new PeerCredentials(1, 1, [], 1), new WindowTarget("x", window), LeaseAccess.ReadOnly, p2p: false) is Granted));
    }

    [Fact]
    public void A_peer_sees_each_window_of_a_pattern_once()
    {
        BrokerPolicy policy = Read("""{ "uid": 1, "device": "x", "windows": ["door-1*", "door-1?", "door-1"], "access": "read-only" }""");

        Assert.Equal(
            ["door-1", "door-10", "door-11"],
            BrokerPolicy.ViewOf(new PeerCredentials(1, 1, [], 1), policy.Devices[0]).Windows.Select(entry => entry.Window.Name));
    }

    [Theory]
    [InlineData(63, 0)]
    [InlineData(64, 1)]
    public void Patterns_may_fit_1048576_windows_in_all(int others, int errors)
    {
        // Each pattern fits all 16384 windows.
        string patterns = string.Join(", ", Enumerable.Range(0, others).Select(i => $"\"w-*{new string('*', i)}\""));
        byte[] text = Encoding.UTF8.GetBytes($$"""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w-{1..16384}": { "bar": 0, "offset": 0, "length": 4096, "stride": 4096 } } } },
              "grants": [ { "uid": 1, "device": "x", "windows": ["w*", {{patterns}}], "access": "read-only" } ] }
            """);

        PolicyException? refusal = Record.Exception(() => PolicyReader.Read(text, "policy.json")) as PolicyException;

        Assert.Equal(errors, refusal?.Errors.Count ?? 0);
        Assert.All(refusal?.Errors ?? [], error => Assert.Contains("fit 1064960 windows up to here", error.Message, StringComparison.Ordinal));
    }

    private static BrokerPolicy Read(string grant) => PolicyReader.Read(
        Encoding.UTF8.GetBytes($$"""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": {
                "door-{0..11}": { "bar": 0, "offset": 0, "length": 4096, "stride": 4096 },
                "status": { "bar": 2, "offset": 0, "length": 4096 },
                "other": { "bar": 2, "offset": 4096, "length": 4096 } } } },
              "grants": [ {{grant}} ] }
            """),
        "policy.json");
}
