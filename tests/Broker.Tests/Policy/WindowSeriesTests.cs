using System.Text;
using BarBroker.Policy;
using Xunit;

namespace BarBroker.Tests.Policy;

public sealed class WindowSeriesTests
{
    public static TheoryData<string, string, int, string> Errors => new()
    {
        { "w-{0..3", Shape, 1, "[\"w-{0..3\"]: this is no series of windows: write its numbers once" },
        { "w-{0..3}-{0..3}", Shape, 1, "[\"w-{0..3}-{0..3}\"]: this is no series of windows" },
        { "w-{a..b}", Shape, 1, "[\"w-{a..b}\"]: this is no series of windows" },
        { "w-{00..31}", Shape, 1, "[\"w-{00..31}\"]: this is no series of windows: write its numbers once, between braces and without leading zeros" },
        { "w-{0..1000000000}", Shape, 1, "[\"w-{0..1000000000}\"]: this is no series of windows" },
        { "w-{-1..3}", Shape, 1, "[\"w-{-1..3}\"]: this is no series of windows" },
        { "w-{3..0}", Shape, 1, "[\"w-{3..0}\"]: 3 comes after 0: write {0..3}." },
        { "w {0..3}", Shape, 1, "[\"w {0..3}\"]: this is no name for a series of windows" },
        { new string('w', 63) + "{9..10}", Shape, 1, "[\"" + new string('w', 63) + "{9..10}\"]: this is no name for a series of windows" },
        { "w-{0..16384}", Shape, 1, "[\"w-{0..16384}\"]: the file has 16385 windows up to here; all its devices together have at most 16384." },
        { "w-{0..3}", "{ \"bar\": 0, \"offset\": 0, \"length\": 4096 }", 13, "[\"w-{0..3}\"]: \"stride\" is missing. Write for example \"stride\": \"4KiB\"." },
        { "w-{0..3}", "{ \"bar\": 0, \"offset\": 0, \"length\": 4096, \"stride\": 0 }", 64, "[\"w-{0..3}\"].stride: found 0; the least is one page" },
        { "w-{0..3}", "{ \"bar\": 0, \"offset\": 0, \"length\": 4096, \"stride\": 100 }", 64, "[\"w-{0..3}\"].stride: found 100, 0x64; this is a multiple of the page size" },
        { "w-{5..8}", "{ \"bar\": 0, \"offset\": 0, \"length\": \"8KiB\", \"stride\": \"4KiB\" }", 66, "[\"w-{5..8}\"].stride: found \"4KiB\"; at this stride w-6 overlaps w-5. One of 0x2000 or more keeps them apart." },
        {
            "w-{0..3}", "{ \"bar\": 0, \"ranges\": [{ \"offset\": 0, \"length\": 4096 }, { \"offset\": \"8KiB\", \"length\": 4096 }], \"stride\": \"4KiB\" }",
            118, "[\"w-{0..3}\"].stride: found \"4KiB\"; at this stride w-2 overlaps w-0. One of 0x3000 or more"
        },
        {
            "w-{0..1}", "{ \"bar\": 0, \"offset\": \"0xffffffffffffe000\", \"length\": 4096, \"stride\": 4096 }",
            83, "[\"w-{0..1}\"].stride: at a stride of 0x1000, w-1 lies beyond what 64 bits hold."
        },
    };

    private const string Shape = "{ \"bar\": 0, \"offset\": 0, \"length\": 4096, \"stride\": 4096 }";

    [Fact]
    public void A_series_is_one_window_a_number_each_a_stride_after_the_last()
    {
        DeviceDefinition device = Read("""
            "doorbell-{9..11}": { "bar": 0, "offset": "0x3000", "length": "4KiB", "stride": "8KiB" },
            "q{0..0}-ring": { "bar": 2, "offset": 0, "length": "4KiB", "stride": "4KiB" },
            """);

        Assert.Equal(
            ["doorbell-9: BAR 0 0x3000+0x1000", "doorbell-10: BAR 0 0x5000+0x1000", "doorbell-11: BAR 0 0x7000+0x1000", "q0-ring: BAR 2 0x0+0x1000"],
            device.Windows.Select(window => $"{window.Name}: {window.Ranges}"));
        Assert.Equal("BAR 0 0x5000+0x1000", device.FindWindow("doorbell-10")!.Ranges.ToString());
        Assert.Null(device.FindWindow("doorbell-12"));
    }

    [Fact]
    public void All_ranges_of_a_window_move_with_its_number_and_may_lie_between_each_other()
    {
        DeviceDefinition device = Read("""
            "w{0..1}": { "bar": 0, "ranges": [{ "offset": 0, "length": 4096 }, { "offset": "8KiB", "length": 4096 }], "stride": "4KiB" },
            """);

        Assert.Equal(["BAR 0 0x0+0x1000, 0x2000+0x1000", "BAR 0 0x1000+0x1000, 0x3000+0x1000"], device.Windows.Select(window => window.Ranges.ToString()));
    }

    [Fact]
    public void A_file_may_have_16384_windows()
        => Assert.Equal(16384, Read($$"""
            "a": {{Shape.Replace(", \"stride\": 4096", "", StringComparison.Ordinal)}}, "w-{0..16382}": {{Shape}}
            """).Windows.Length);

    [Theory]
    [MemberData(nameof(Errors))]
    public void A_bad_series_is_refused_with_place_key_and_cure(string name, string window, int column, string message)
    {
        PolicyError error = Assert.Single(ErrorsOf($"\"{name}\": {window}"));

        Assert.StartsWith($"policy.json:2:{column}: devices.x.windows{message}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_a_series_has_already_is_refused()
    {
        PolicyError error = Assert.Single(ErrorsOf($$"""
            "w-{0..3}": {{Shape}},
            "w-3": { "bar": 0, "offset": 0, "length": 4096 }
            """));

        Assert.Equal("policy.json:3:1: devices.x.windows.w-3: 'w-3' is a window already, in line 2. Leave one.", error.ToString());
    }

    [Fact]
    public void Of_a_series_that_runs_out_of_the_BAR_the_first_window_beyond_it_is_named_and_no_other()
    {
        IReadOnlyList<PolicyError> errors = Assert.Throws<PolicyException>(() => PolicyReader.Read(Encoding.UTF8.GetBytes($$"""
            { "devices": { "x": { "simulated": { "bars": { "0": "16KiB" } }, "windows": {
            "w-{0..9}": {{Shape}} } } } }
            """), "policy.json")).Errors;

        Assert.Equal("policy.json:2:1: devices.x.windows[\"w-{0..9}\"]: of 'w-4': BAR 0 0x4000+0x1000 ends at 0x5000, beyond the BAR's size, 0x4000.", Assert.Single(errors).ToString());
    }

    private static DeviceDefinition Read(string windows) => PolicyReader.Read(Text(windows), "policy.json").Devices.Single();

    private static IReadOnlyList<PolicyError> ErrorsOf(string windows)
        => Assert.Throws<PolicyException>(() => PolicyReader.Read(Text(windows), "policy.json")).Errors;

    private static byte[] Text(string windows) => Encoding.UTF8.GetBytes($$"""
        { "devices": { "x": { "address": "0000:01:00.0", "windows": {
        {{windows}} } } } }
        """);
}
