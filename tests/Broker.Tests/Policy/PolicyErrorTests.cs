using System.Text;
using BarBroker.Policy;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class PolicyErrorTests
{
    private const string Sim = "\"devices\": { \"sim0\": { \"simulated\": { \"bars\": { \"2\": \"1MiB\" } }, \"windows\": { \"left\": { \"bar\": 2, \"offset\": 0, \"length\": \"64KiB\" } } } }";

    public static TheoryData<string, int, int, string, string> SingleErrors => new()
    {
        // The file as a whole.
        { "", 1, 1, "", "not JSON" },
        { "{", 1, 2, "", "not JSON" },
        { "{ \"devices\": }", 1, 14, "", "not JSON" },
        { "{} {}", 1, 4, "", "not JSON" },
        { "// only a comment", 1, 18, "", "not JSON" },
        { "[]", 1, 1, "", "found an array; this is an object with \"runtimeDirectory\"" },
        { "{}", 1, 1, "", "\"devices\" is missing" },
        { "{\n  \"device\": {},\n" + Sim + "}", 2, 3, "device", "Did you mean 'devices'?" },
        { "{\n  \"zebra\": {},\n" + Sim + "}", 2, 3, "zebra", "Known are: runtimeDirectory, clientGroup, devices, grants, admins, $schema." },
        { "{\n" + Sim + ",\n  \"grants\": [],\n  \"grants\": [] }", 4, 3, "grants", "stands here twice, first in line 3" },
        { "{ \"é\": \"\\ud800\", " + Sim + "}", 1, 8, "[\"é\"]", "no valid Unicode" },

        // Top-level keys.
        { "{ \"runtimeDirectory\": \"run\", " + Sim + "}", 1, 23, "runtimeDirectory", "found \"run\"; this is an absolute path" },
        { "{ \"runtimeDirectory\": 7, " + Sim + "}", 1, 23, "runtimeDirectory", "found 7; this is an absolute path" },
        { "{ \"runtimeDirectory\": \"/" + new string('x', 95) + "\", " + Sim + "}", 1, 23, "runtimeDirectory", "found a path of 96 bytes; at most 95" },
        { "{ \"$schema\": 7, " + Sim + "}", 1, 14, "[\"$schema\"]", "found 7; this is where editors find the schema, such as \"policy.schema.json\"." },
        { "{ \"clientGroup\": true, " + Sim + "}", 1, 18, "clientGroup", "found true; this is the name or the number of a group" },
        { "{ \"clientGroup\": 4294967295, " + Sim + "}", 1, 18, "clientGroup", "found 4294967295" },
        { "{ \"clientGroup\": \"\", " + Sim + "}", 1, 18, "clientGroup", "found \"\"" },
        { "{ \"devices\": [] }", 1, 14, "devices", "found an array; this is an object of devices by name" },
        { "{ \"devices\": {} }", 1, 14, "devices", "nothing to lease" },
        { "{ \"grants\": {}, " + Sim + "}", 1, 13, "grants", "found an object; this is an array of grants" },

        // Devices.
        { "{ \"devices\": { \"a b\": { \"address\": \"0000:01:00.0\" } } }", 1, 16, "devices[\"a b\"]", "no name for a device" },
        { "{ \"devices\": { \"x\": {} } }", 1, 21, "devices.x", "found none of \"address\", \"id\" and \"simulated\". Exactly one of them says what the device is." },
        { "{ \"devices\": { \"x\": { \"address\": \"0000:01:00.0\", \"simulated\": { \"bars\": { \"0\": 4096 } } } } }", 1, 21, "devices.x", "found both \"address\" and \"simulated\"" },
        { "{ \"devices\": { \"x\": { \"addres\": 1, \"address\": \"0000:01:00.0\" } } }", 1, 23, "devices.x.addres", "Did you mean 'address'?" },
        { "{ \"devices\": { \"x\": { \"address\": \"01:00.0\" } } }", 1, 34, "devices.x.address", "the domain is missing. Write \"0000:01:00.0\"" },
        { "{ \"devices\": { \"x\": { \"address\": \"0000:01:20.0\" } } }", 1, 34, "devices.x.address", "this is the address of a PCI function" },
        { "{ \"devices\": { \"x\": { \"id\": \"8086\" } } }", 1, 29, "devices.x.id", "found \"8086\"; this is a PCI function's vendor and device, such as \"8086:0a54\", as lspci -n shows them." },
        { "{ \"devices\": { \"x\": { \"id\": 8086 } } }", 1, 29, "devices.x.id", "found 8086; this is a PCI function's vendor and device" },
        { "{ \"devices\": { \"x\": { \"id\": \"8086:0a54\", \"serial\": \"S3X1\" } } }", 1, 52, "devices.x.serial", "found \"S3X1\"; this is a PCI Express device serial number, such as \"00-15-17-ff-ff-ab-cd-ef\"" },
        { "{ \"devices\": { \"x\": { \"id\": \"8086:0a54\", \"serial\": \"00-15-17-ff-ff-ab-cd\" } } }", 1, 52, "devices.x.serial", "found \"00-15-17-ff-ff-ab-cd\"" },
        { "{ \"devices\": { \"x\": { \"address\": \"0000:01:00.0\", \"serial\": \"00-15-17-ff-ff-ab-cd-ef\" } } }", 1, 60, "devices.x.serial", "a serial number tells functions of one \"id\" apart." },
        {
            "{ \"devices\": { \"x\": { \"id\": \"8086:0A54\" },\n \"y\": { \"id\": \"8086:0a54\" } } }",
            2, 15, "devices.y.id", "8086:0a54 is device 'x' already"
        },
        { "{ \"devices\": { \"x\": { \"address\": 5 } } }", 1, 34, "devices.x.address", "found 5; this is the address of a PCI function" },
        { "{ \"devices\": { \"x\": { \"simulated\": {} } } }", 1, 36, "devices.x.simulated", "\"bars\" is missing" },
        { "{ \"devices\": { \"x\": { \"simulated\": { \"bars\": {} } } } }", 1, 46, "devices.x.simulated.bars", "without BARs" },
        { "{ \"devices\": { \"x\": { \"simulated\": { \"bars\": { \"6\": 4096 } } } } }", 1, 48, "devices.x.simulated.bars.6", "found '6'; a BAR is a number from \"0\" to \"5\"" },
        { "{ \"devices\": { \"x\": { \"simulated\": { \"bars\": { \"0\": 0 } } } } }", 1, 53, "devices.x.simulated.bars.0", "the least is one page" },
        { "{ \"devices\": { \"x\": { \"simulated\": { \"bars\": { \"0\": \"0x8000000000000000\" } } } } }", 1, 53, "devices.x.simulated.bars.0", "less than 2^63" },
        {
            "{ \"devices\": { \"x\": { \"address\": \"0000:01:00.0\" },\n \"y\": { \"address\": \"0000:01:00.0\" } } }",
            2, 20, "devices.y.address", "0000:01:00.0 is device 'x' already"
        },
    };

    public static TheoryData<string, int, string> WindowErrors => new()
    {
        // In place of a window's object, which begins in column 1 of line 2.
        { "5", 1, "w: found 5; this is an object with \"bar\", \"offset\", \"length\", \"ranges\"" },
        { "{ \"bar\": 2, \"offset\": 0 }", 1, "w: \"length\" is missing" },
        { "{ \"bar\": 6, \"offset\": 0, \"length\": 4096 }", 10, "w.bar: found 6; a BAR is a number from 0 to 5" },
        { "{ \"bar\": \"2\", \"offset\": 0, \"length\": 4096 }", 10, "w.bar: found \"2\"" },
        { "{ \"bar\": 2, \"offset\": 100, \"length\": 4096 }", 23, "w.offset: found 100, 0x64; this is a multiple of the page size, 0x1000, such as 0x0 or 0x1000" },
        { "{ \"bar\": 2, \"offset\": -4096, \"length\": 4096 }", 23, "w.offset: found -4096; this is no count of bytes" },
        { "{ \"bar\": 2, \"offset\": 1.5, \"length\": 4096 }", 23, "w.offset: found 1.5; this is no count of bytes" },
        { "{ \"bar\": 2, \"offset\": \"4KB\", \"length\": 4096 }", 23, "w.offset: found \"4KB\"; this is no count of bytes. Write an integer" },
        { "{ \"bar\": 2, \"offset\": \"0x\", \"length\": 4096 }", 23, "w.offset: found \"0x\"; this is no count" },
        { "{ \"bar\": 2, \"offset\": \"4096\\n\", \"length\": 4096 }", 23, "w.offset: found \"4096\\n\"; this is no count" },
        { "{ \"bar\": 2, \"offset\": null, \"length\": 4096 }", 23, "w.offset: found null; write an integer" },
        { "{ \"bar\": 2, \"offset\": \"0x10000000000000000\", \"length\": 4096 }", 23, "w.offset: found \"0x10000000000000000\"; this is more than 64 bits hold" },
        { "{ \"bar\": 2, \"offset\": \"17179869184GiB\", \"length\": 4096 }", 23, "w.offset: found \"17179869184GiB\"; this is more than 64 bits hold" },
        { "{ \"bar\": 2, \"offset\": 0, \"length\": 0 }", 36, "w.length: found 0; the least is one page" },
        { "{ \"bar\": 2, \"offset\": \"0xfffffffffffff000\", \"length\": \"4KiB\" }", 1, "w: offset 0xfffffffffffff000 plus length 0x1000 is more than 64 bits hold" },
        { "{ \"bar\": 2, \"ranges\": 5 }", 23, "w.ranges: found 5; this is an array of ranges, such as { \"offset\": \"0x1000\", \"length\": \"4KiB\" }" },
        { "{ \"bar\": 2, \"ranges\": [] }", 23, "w.ranges: found 0 ranges; a window has 1 to 64" },
        { "{ \"bar\": 2, \"ranges\": [" + RangesOfAPage(65) + "] }", 23, "w.ranges: found 65 ranges; a window has 1 to 64" },
        { "{ \"ranges\": [" + RangesOfAPage(1) + "] }", 1, "w: \"bar\" is missing" },
        { "{ \"bar\": 2, \"offset\": 0, \"ranges\": [" + RangesOfAPage(1) + "] }", 23, "w.offset: the window has \"ranges\", each with an \"offset\" of its own. Leave one or the other" },
        { "{ \"bar\": 2, \"length\": 4096, \"ranges\": [" + RangesOfAPage(1) + "] }", 23, "w.length: the window has \"ranges\"" },
        { "{ \"bar\": 2, \"ranges\": [7] }", 24, "w.ranges[0]: found 7; this is an object with \"offset\", \"length\"" },
        { "{ \"bar\": 2, \"ranges\": [{ \"bar\": 2, \"offset\": 0, \"length\": 4096 }] }", 26, "w.ranges[0].bar: this key means nothing here" },
        { "{ \"bar\": 2, \"ranges\": [" + RangesOfAPage(1) + ", { \"offset\": 8192 }] }", 57, "w.ranges[1]: \"length\" is missing" },
        { "{ \"bar\": 2, \"ranges\": [{ \"offset\": 1, \"length\": 4096 }] }", 36, "w.ranges[0].offset: found 1, 0x1; this is a multiple of the page size" },
        { "{ \"bar\": 2, \"ranges\": [{ \"offset\": 0, \"length\": 0 }] }", 49, "w.ranges[0].length: found 0; the least is one page" },
        { "{ \"bar\": 2, \"ranges\": [{ \"offset\": \"0xfffffffffffff000\", \"length\": 4096 }] }", 24, "w.ranges[0]: offset 0xfffffffffffff000 plus length 0x1000 is more than 64 bits hold" },
        {
            "{ \"bar\": 2, \"ranges\": [{ \"offset\": 0, \"length\": 4096 }, { \"offset\": \"8KiB\", \"length\": \"8KiB\" }, { \"offset\": \"4KiB\", \"length\": \"8KiB\" }] }",
            97, "w.ranges[2]: BAR 2 0x1000+0x2000 overlaps BAR 2 0x2000+0x2000, range 1 of the window. Each byte of it can be there once"
        },
        { "{ \"bar\": 2, \"offset\": 0, \"length\": 4096, \"stride\": 4096 }", 52, "w.stride: a stride is for a series of windows" },
        { "{ \"bar\": 2, \"offset\": 0, \"lenght\": 1, \"length\": 4096 }", 26, "w.lenght: this key means nothing here. Did you mean 'length'?" },
    };

    public static TheoryData<string, int, string> GrantErrors => new()
    {
        // In place of a grant, which begins in column 1 of line 2.
        { "7", 1, "grants[0]: found 7; this is an object with \"uid\"" },
        { "{ \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 1, "grants[0]: found none of \"uid\", \"user\", \"gid\", \"group\", \"unit\" and \"allOf\". Exactly one of them says for whom the grant is." },
        { "{ \"uid\": 1, \"gid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 1, "grants[0]: found both \"uid\" and \"gid\"" },
        { "{ \"uid\": \"root\", \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 10, "grants[0].uid: found \"root\"; this is the number of a user, from 0 to 4294967294. A name goes under \"user\"." },
        { "{ \"gid\": -1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 10, "grants[0].gid: found -1; this is the number of a group" },
        { "{ \"uid\": 4294967295, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 10, "grants[0].uid: found 4294967295; this is the number of a user, from 0 to 4294967294" },
        { "{ \"uid\": 65534, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 10, "grants[0].uid: 65534 is how every user and group of a container" },
        { "{ \"uid\": 1, \"windows\": [\"left\"], \"access\": \"read-only\" }", 1, "grants[0]: \"device\" is missing" },
        { "{ \"uid\": 1, \"device\": \"sim1\", \"windows\": [\"left\"], \"access\": \"read-only\" }", 23, "grants[0].device: found \"sim1\"; no device of this file has that name. Did you mean 'sim0'?" },
        { "{ \"uid\": 1, \"device\": 3, \"windows\": [\"left\"], \"access\": \"read-only\" }", 23, "grants[0].device: found 3; this is the name of a device. Known are: sim0." },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"lfet\"], \"access\": \"read-only\" }", 43, "grants[0].windows[0]: found \"lfet\"; device 'sim0' has no window of that name. Did you mean 'left'?" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"lfet*\"], \"access\": \"read-only\" }", 43, "grants[0].windows[0]: found \"lfet*\"; device 'sim0' has no window whose name fits that pattern. Known are: left." },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left?\"], \"access\": \"read-only\" }", 43, "grants[0].windows[0]: found \"left?\"; device 'sim0' has no window whose name fits that pattern. Did you mean 'left'?" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"l*\", \"l*\"], \"access\": \"read-only\" }", 49, "grants[0].windows[1]: found \"l*\" for the second time" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\", \"left\"], \"access\": \"read-only\" }", 51, "grants[0].windows[1]: found \"left\" for the second time" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": \"left\", \"access\": \"read-only\" }", 42, "grants[0].windows: found \"left\"; this is an array of window names" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [4], \"access\": \"read-only\" }", 43, "grants[0].windows[0]: found 4; this is the name of a window" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"access\": \"read-only\" }", 1, "grants[0]: this grants nothing" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [], \"areas\": [], \"access\": \"read-only\" }", 1, "grants[0]: this grants nothing" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"] }", 1, "grants[0]: \"access\" is missing" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"rw\" }", 62, "grants[0].access: found \"rw\"; this is \"read-only\" or \"read-write\"" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\", \"exclusive\": 1 }", 88, "grants[0].exclusive: found 1; this is true or false" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\", \"memory\": \"cached\" }", 85, "grants[0].memory: found \"cached\"; this is \"uncached\" or \"write-combining\"" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\", \"memory\": true }", 85, "grants[0].memory: found true; this is" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-only\", \"p2p\": 1 }", 82, "grants[0].p2p: found 1; this is true or false" },
        { "{ \"uid\": 1, \"device\": \"sim0\", \"windows\": [\"left\"], \"access\": \"read-write\", \"p2p\": true }", 83, "grants[0].p2p: device 'sim0' is simulated: no driver can attach to its memory. Leave \"p2p\" out" },
        {
            "{ \"uid\": 1, \"device\": \"sim0\", \"areas\": [{ \"bar\": 2, \"offset\": \"1MiB\", \"length\": \"4KiB\" }], \"access\": \"read-only\" }",
            41, "grants[0].areas[0]: BAR 2 0x100000+0x1000 ends at 0x101000, beyond the BAR's size, 0x100000"
        },
        {
            "{ \"uid\": 1, \"device\": \"sim0\", \"areas\": [{ \"bar\": 0, \"offset\": 0, \"length\": \"4KiB\" }], \"access\": \"read-only\" }",
            41, "grants[0].areas[0]: the device has no BAR 0: those that can be mapped are 2"
        },
    };

    private static string RangesOfAPage(int count)
        => string.Join(", ", Enumerable.Range(0, count).Select(i => $$"""{ "offset": {{i * 8192}}, "length": 4096 }"""));

    [Theory]
    [MemberData(nameof(SingleErrors))]
    public void A_bad_file_is_refused_with_place_key_and_cure(string text, int line, int column, string keyPath, string message)
    {
        PolicyError error = Assert.Single(ErrorsOf(text));

        Assert.Equal(new FilePosition(line, column), error.At);
        Assert.Equal(keyPath, error.KeyPath);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(WindowErrors))]
    public void A_bad_window_is_refused_with_place_key_and_cure(string window, int column, string message)
    {
        PolicyError error = Assert.Single(ErrorsOf($$"""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w":
            {{window}} } } } }
            """));

        Assert.StartsWith($"policy.json:2:{column}: devices.x.windows.{message}", error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(GrantErrors))]
    public void A_bad_grant_is_refused_with_place_key_and_cure(string grant, int column, string message)
    {
        PolicyError error = Assert.Single(ErrorsOf($$"""
            { {{Sim}}, "grants": [
            {{grant}} ] }
            """));

        Assert.StartsWith($"policy.json:2:{column}: {message}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_beyond_a_simulated_BAR_is_refused_at_its_name()
    {
        PolicyError error = Assert.Single(ErrorsOf("""
            { "devices": { "x": { "simulated": { "bars": { "2": "64KiB" } }, "windows": {
              "w": { "bar": 2, "offset": "60KiB", "length": "8KiB" } } } } }
            """));

        Assert.Equal("policy.json:2:3: devices.x.windows.w: BAR 2 0xf000+0x2000 ends at 0x11000, beyond the BAR's size, 0x10000.", error.ToString());
    }

    [Fact]
    public void Each_range_of_a_window_must_lie_in_a_simulated_BAR()
    {
        PolicyError error = Assert.Single(ErrorsOf("""
            { "devices": { "x": { "simulated": { "bars": { "2": "64KiB" } }, "windows": {
              "w": { "bar": 2, "ranges": [ { "offset": 0, "length": "4KiB" }, { "offset": "60KiB", "length": "8KiB" } ] } } } } }
            """));

        Assert.Equal("policy.json:2:3: devices.x.windows.w: BAR 2 0xf000+0x2000 ends at 0x11000, beyond the BAR's size, 0x10000.", error.ToString());
    }

    [Fact]
    public void A_read_only_grant_allows_no_peer_to_peer_leases()
    {
        PolicyError error = Assert.Single(ErrorsOf("""
            { "devices": { "x": { "address": "0000:01:00.0", "windows": { "w": { "bar": 2, "offset": 0, "length": 4096 } } } }, "grants": [
              { "uid": 1, "device": "x", "windows": ["w"], "access": "read-only",
                "p2p": true } ] }
            """));

        Assert.StartsWith("policy.json:3:12: grants[0].p2p: a peer-to-peer lease can't be read-only", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void All_errors_are_reported_at_once_in_the_order_of_the_file()
    {
        IReadOnlyList<PolicyError> errors = ErrorsOf("""
            {
              "clientGroup": [],
              "devices": {
                "a": { "address": "x" },
                "b": { "address": "0000:01:00.0", "windows": { "w": { "bar": 9, "offset": 1, "length": 0 } } }
              },
              "grants": [ { "uid": 1, "device": "c", "windows": ["w"], "access": "read-only" } ],
              "color": "red"
            }
            """);

        Assert.Equal(
            ["clientGroup", "devices.a.address", "devices.b.windows.w.bar", "devices.b.windows.w.offset", "devices.b.windows.w.length", "grants[0].device", "color"],
            errors.Select(error => error.KeyPath));
    }

    [Fact]
    public void A_grant_is_not_blamed_for_a_window_or_device_that_is_wrong_itself()
    {
        IReadOnlyList<PolicyError> errors = ErrorsOf("""
            { "devices": { "a": { "address": "x", "windows": { "w": { "bar": 9, "offset": 0, "length": 4096 } } } },
              "grants": [ { "uid": 1, "device": "a", "windows": ["w"], "access": "read-only" } ] }
            """);

        Assert.Equal(["devices.a.address", "devices.a.windows.w.bar"], errors.Select(error => error.KeyPath));
    }

    [Fact]
    public void Columns_count_characters_and_a_byte_order_mark_is_none()
    {
        byte[] text = [0xef, 0xbb, 0xbf, .. Encoding.UTF8.GetBytes("{ /* ü€😀 */ \"x\": 1, " + Sim + " }")];

        PolicyError error = Assert.Single(Assert.Throws<PolicyException>(() => PolicyReader.Read(text, "policy.json")).Errors);

        Assert.Equal(new FilePosition(1, 13), error.At);
    }

    [Fact]
    public void Bytes_that_are_no_UTF8_are_refused()
    {
        byte[] text = [.. "{ \"runtimeDirectory\": \"/?\", "u8, .. Encoding.UTF8.GetBytes(Sim + " }")];
        text[24] = 0xff;

        PolicyException exception = Assert.Throws<PolicyException>(() => PolicyReader.Read(text, "policy.json"));

        Assert.Contains(exception.Errors, error => error.At == new FilePosition(1, 23));
    }

    [Fact]
    public void Nesting_without_end_is_refused_and_does_not_exhaust_the_stack()
    {
        PolicyError error = Assert.Single(ErrorsOf(new string('[', 1_000_000)));

        Assert.Contains("not JSON", error.Message, StringComparison.Ordinal);
    }

    private static IReadOnlyList<PolicyError> ErrorsOf(string text)
        => Assert.Throws<PolicyException>(() => PolicyReader.Read(Encoding.UTF8.GetBytes(text), "policy.json")).Errors;
}
