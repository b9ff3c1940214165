using System.Text;
using BarBroker.Devices;
using BarBroker.Policy;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class GrantLimitTests
{
    public static TheoryData<string, string> Errors => new()
    {
        { "\"maxLeases\": 0", "maxLeases: found 0; this is a number from 1 to 65536." },
        { "\"maxLeases\": 65537", "maxLeases: found 65537; this is a number from 1 to 65536." },
        { "\"maxLeases\": 1.0", "maxLeases: found 1.0; this is a number" },
        { "\"maxLeases\": \"4\"", "maxLeases: found \"4\"; this is a number" },
        { "\"maxBytes\": 0", "maxBytes: found 0; the least is one page" },
        { "\"maxBytes\": 100", "maxBytes: found 100, 0x64; this is a multiple of the page size" },
        { "\"maxBytes\": \"4KiB\"", "maxBytes: 0x1000 bytes are less than window 'w' has, 0x2000: it could never be leased." },
        { "\"maxLeaseTime\": 60", "maxLeaseTime: found 60; this is a string such as \"90s\", \"15min\", \"8h\" or \"7d\", from 1s to 365d." },
        { "\"maxLeaseTime\": \"0s\"", "maxLeaseTime: found \"0s\"" },
        { "\"maxLeaseTime\": \"366d\"", "maxLeaseTime: found \"366d\"" },
        { "\"maxLeaseTime\": \"31536001s\"", "maxLeaseTime: found \"31536001s\"" },
        { "\"maxLeaseTime\": \"999999999d\"", "maxLeaseTime: found \"999999999d\"" },
        { "\"maxLeaseTime\": \"1000000000s\"", "maxLeaseTime: found \"1000000000s\"" },
        { "\"maxLeaseTime\": \"-1s\"", "maxLeaseTime: found \"-1s\"" },
        { "\"maxLeaseTime\": \"1 h\"", "maxLeaseTime: found \"1 h\"" },
        { "\"maxLeaseTime\": \"1m\"", "maxLeaseTime: found \"1m\"" },
        { "\"maxLeaseTime\": \"1h\", \"maxRenewals\": -1", "maxRenewals: found -1; this is a number from 0 to 1000000." },
        { "\"maxLeaseTime\": \"1h\", \"maxRenewals\": 1000001", "maxRenewals: found 1000001; this is a number" },
        { "\"maxRenewals\": 3", "maxRenewals: leases without a \"maxLeaseTime\" have nothing to renew. Add one, or leave this out." },
    };

    [Fact]
    public void A_decision_carries_the_limits_of_its_grant()
    {
        Assert.Equal(
            new GrantLimits(4, 65536, TimeSpan.FromMinutes(90), 0),
            LimitsOf("\"maxLeases\": 4, \"maxBytes\": \"64KiB\", \"maxLeaseTime\": \"90min\", \"maxRenewals\": 0"));
        Assert.Equal(new GrantLimits(1, 8192, TimeSpan.FromSeconds(1)), LimitsOf("\"maxLeases\": 1, \"maxBytes\": 8192, \"maxLeaseTime\": \"1s\""));
        Assert.Equal(
            new GrantLimits(65536, null, TimeSpan.FromDays(365), 1_000_000),
            LimitsOf("\"maxLeases\": 65536, \"maxLeaseTime\": \"31536000s\", \"maxRenewals\": 1000000"));
    }

    [Fact]
    public void A_grant_that_names_no_limit_has_none() => Assert.Equal(GrantLimits.None, LimitsOf("\"p2p\": false"));

    [Theory]
    [MemberData(nameof(Errors))]
    public void A_bad_limit_is_refused_with_place_key_and_cure(string limits, string message)
    {
        PolicyError error = Assert.Single(Assert.Throws<PolicyException>(() => Read(limits)).Errors);

        Assert.StartsWith($"grants[0].{message}", $"{error.KeyPath}: {error.Message}", StringComparison.Ordinal);
        Assert.Equal(2, error.At.Line);
    }

    [Theory]
    [InlineData(1, "1s")]
    [InlineData(90, "90s")]
    [InlineData(120, "2min")]
    [InlineData(7200, "2h")]
    [InlineData(90000, "25h")]
    [InlineData(172800, "2d")]
    public void Durations_are_shown_as_they_can_be_written(int seconds, string expected)
    {
        Assert.Equal(expected, Duration.Show(TimeSpan.FromSeconds(seconds)));
        Assert.True(Duration.TryParse(expected, out TimeSpan again));
        Assert.Equal(seconds, again.TotalSeconds);
    }

    private static GrantLimits LimitsOf(string limits)
        => Assert.IsType<Granted>(Read(limits).Decide(new PeerCredentials(1, 1, [], 1), new WindowTarget("x", "w"), LeaseAccess.ReadOnly, p2p: false)).Grant.Limits;

    private static BrokerPolicy Read(string limits) => PolicyReader.Read(
        Encoding.UTF8.GetBytes($$"""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": "8KiB" } } } }, "grants": [
            { "uid": 1, "device": "x", "windows": ["w"], "access": "read-only", {{limits}} } ] }
            """),
        "policy.json");
}
