using BarBroker.Devices;
using BarBroker.Policy;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class PolicyReaderTests
{
    [Fact]
    public void A_file_with_everything_in_it_is_read()
    {
        BrokerPolicy policy = PolicyReader.Read(
            """
            {
              // Comments and trailing commas are fine.
              "runtimeDirectory": "/run/elsewhere/",
              "clientGroup": "2000",
              "devices": {
                "nvme0": { "address": "0000:01:00.0", "windows": { "doorbell-3": { "bar": 0, "offset": "0x3000", "length": "4KiB" } } },
                "sim0": { "simulated": { "bars": { "2": "1MiB", "0": 8192 } }, "windows": { "left": { "bar": 2, "offset": 0, "length": "64KiB" } } },
              },
              "grants": [
                { "uid": 1001, "device": "sim0", "windows": ["left"], "access": "read-write" },
                { "gid": 2000, "device": "sim0", "areas": [ { "bar": 2, "offset": "0x80000", "length": "512KiB" } ], "access": "read-only", "exclusive": false },
              ],
            }
            """u8,
            "policy.json");

        Assert.Equal("/run/elsewhere", policy.RuntimeDirectory);
        Assert.Equal(new ClientGroup(null, 2000), policy.ClientGroup);
        Assert.Equal(["nvme0", "sim0"], policy.Devices.Select(device => device.Name));
        Assert.Equal(new PciAddress(0, 1, 0, 0), Assert.IsType<PciSource>(policy.Devices[0].Source).Address);
        Assert.Equal("BAR 0 0x3000+0x1000", policy.Devices[0].Windows.Single().Ranges.ToString());
        Assert.Equal([(0, 8192UL), (2, 1048576UL)], Assert.IsType<SimulatedSource>(policy.Devices[1].Source).Bars.Select(bar => (bar.Index, bar.Size)));

        Grant first = policy.Devices[1].Grants[0];
        Assert.Equal((new UserPrincipal(1001), LeaseAccess.ReadWrite, true, "grants[0]"), (first.Principal, first.Access, first.Exclusive, first.KeyPath));
        Assert.Equal("left", Assert.Single(first.Windows).Text);
        Grant second = policy.Devices[1].Grants[1];
        Assert.Equal((new GroupPrincipal(2000), LeaseAccess.ReadOnly, false, "grants[1]"), (second.Principal, second.Access, second.Exclusive, second.KeyPath));
        Assert.Equal("BAR 2 0x80000+0x80000", Assert.Single(second.Areas).Range.ToString());
    }

    [Fact]
    public void Windows_of_several_ranges_memory_types_and_peer_to_peer_grants_are_read()
    {
        BrokerPolicy policy = PolicyReader.Read(
            """
            {
              "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
                "queues": { "bar": 0, "ranges": [ { "offset": "0x3000", "length": "4KiB" }, { "offset": "0x1000", "length": 8192 } ] },
                "one": { "bar": 0, "ranges": [ { "offset": 0, "length": 4096 } ] } } } },
              "grants": [
                { "uid": 1, "device": "nvme0", "windows": ["queues"], "access": "read-write", "memory": "write-combining", "p2p": true },
                { "uid": 2, "device": "nvme0", "windows": ["one"], "access": "read-only", "memory": "uncached", "p2p": false },
                { "uid": 3, "device": "nvme0", "windows": ["one"], "access": "read-only" },
              ],
            }
            """u8,
            "policy.json");

        Assert.Equal(["BAR 0 0x3000+0x1000, 0x1000+0x2000", "BAR 0 0x0+0x1000"], policy.Devices[0].Windows.Select(window => window.Ranges.ToString()));
        Assert.Equal(
            [(MemoryType.WriteCombining, true), (MemoryType.Uncached, false), (MemoryType.Uncached, false)],
            policy.Devices[0].Grants.Select(grant => (grant.Memory, grant.P2P)));
    }

    [Fact]
    public void A_window_may_have_64_ranges()
    {
        string ranges = string.Join(",", Enumerable.Range(0, 64).Select(i => $$"""{ "offset": {{i * 4096}}, "length": 4096 }"""));

        BrokerPolicy policy = PolicyReader.Read(
            System.Text.Encoding.UTF8.GetBytes($$"""{ "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "ranges": [{{ranges}}] } } } } }"""),
            "policy.json");

        Assert.Equal(64, policy.Devices[0].Windows[0].Ranges.Count);
    }

    [Fact]
    public void What_is_left_out_has_the_documented_value()
    {
        BrokerPolicy policy = PolicyReader.Read("""{ "devices": { "x": { "address": "0000:01:00.0" } } }"""u8, "policy.json");

        Assert.Equal("/run/bar-broker", policy.RuntimeDirectory);
        Assert.Equal(new ClientGroup("bar-lease", null), policy.ClientGroup);
        Assert.Empty(policy.Devices.Single().Windows);
        Assert.Empty(policy.Devices.Single().Grants);
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("0x1000", 4096)]
    [InlineData("0xFFFFFFFFFFFFFFFF", ulong.MaxValue)]
    [InlineData("18446744073709551615", ulong.MaxValue)]
    [InlineData("00000000000000000000000000000001", 1)]
    [InlineData("64KiB", 65536)]
    [InlineData("3MiB", 3145728)]
    [InlineData("17179869183GiB", 0xffff_ffff_c000_0000)]
    public void Counts_of_bytes_are_read_in_every_documented_form(string text, ulong expected)
    {
        Assert.True(ByteCount.TryParse(text, out ulong bytes, out _));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("18446744073709551616")]
    [InlineData("0x10000000000000000")]
    [InlineData("17179869184GiB")]
    [InlineData("99999999999999999999999999999999999999999999")]
    public void Counts_of_bytes_beyond_64_bits_are_refused_as_such(string text)
    {
        Assert.False(ByteCount.TryParse(text, out _, out string problem));
        Assert.Contains("64 bits", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("offset", "offest", 1)]
    [InlineData("windows", "Window", 1)]
    [InlineData("", "abc", 3)]
    [InlineData("abc", "abc", 0)]
    [InlineData("kitten", "sitting", 3)]
    public void The_distance_of_two_names_counts_mistakes_in_typing(string left, string right, int expected)
        => Assert.Equal(expected, NearestName.Distance(left, right));
}
