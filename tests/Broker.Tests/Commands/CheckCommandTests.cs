using System.CommandLine;
using BarBroker.Commands;
using Spectre.Console;
using Xunit;

namespace BarBroker.Tests.Commands;

public sealed class CheckCommandTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    [Fact]
    public async Task A_valid_policy_is_shown_with_every_range_and_what_is_special_about_a_grant()
    {
        string[] lines = await CheckAsync("""
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": {
                "one": { "bar": 0, "offset": 0, "length": "4KiB" },
                "several": { "bar": 2, "ranges": [ { "offset": "0x4000", "length": "4KiB" }, { "offset": 0, "length": "8KiB" } ] } } } },
              "grants": [
                { "uid": 1001, "device": "nvme0", "windows": ["one"], "access": "read-only" },
                { "gid": 2000, "device": "nvme0", "windows": ["several"], "access": "read-write", "exclusive": false, "memory": "write-combining", "p2p": true } ] }
            """);

        Assert.Contains("nvme0: PCI function 0000:01:00.0", lines);
        Assert.Contains("  window one: BAR 0 0x0+0x1000", lines);
        Assert.Contains("  window several: BAR 2 0x4000+0x1000, 0x0+0x2000", lines);
        Assert.Contains("  uid 1001 may lease one: read-only, exclusive", lines);
        Assert.Contains("  gid 2000 may lease several: read-write, shared, write-combining, peer-to-peer on request", lines);
    }

    [Fact]
    public async Task A_decision_is_explained_and_a_denial_is_a_failure()
    {
        await File.WriteAllTextAsync(
            _file,
            """
            { "devices": { "nvme0": { "address": "0000:01:00.0", "windows": { "w": { "bar": 0, "offset": 0, "length": "8KiB" } } } },
              "grants": [
                { "gid": 2000, "device": "nvme0", "windows": ["w"], "areas": [{ "bar": 0, "offset": 0, "length": "64KiB" }], "access": "read-write" } ] }
            """,
            TestContext.Current.CancellationToken);

        (int granted, string yes) = Explain("--uid", "1001", "--gid", "100", "--groups", "7,2000", "--device", "nvme0", "--window", "w", "--access", "read-write");
        (int ranges, _) = Explain("--uid", "1001", "--gid", "2000", "--device", "nvme0", "--range", "0:0x1000+4KiB", "--range", "0:0+4096");
        (int denied, string no) = Explain("--uid", "1001", "--unit", "a.service", "--device", "nvme0", "--window", "w", "--json");

        Assert.Equal((0, 0, 1), (granted, ranges, denied));
        Assert.Contains($"{_file}:3:5: grants[0] decides: it is for gid 2000", yes, StringComparison.Ordinal);
        Assert.Contains("\"granted\": false", no, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--explain takes --uid UID.", "--explain", "--device", "x", "--window", "w")]
    [InlineData("--explain takes --device NAME.", "--explain", "--uid", "1", "--window", "w")]
    [InlineData("--explain takes either --window NAME or --range BAR:OFFSET+LENGTH.", "--explain", "--uid", "1", "--device", "x")]
    [InlineData("--explain takes either --window NAME or --range BAR:OFFSET+LENGTH.", "--explain", "--uid", "1", "--device", "x", "--window", "w", "--range", "0:0+4096")]
    [InlineData("found '0:0'; write a BAR, an offset and a length, such as 2:0x1000+4KiB.", "--explain", "--uid", "1", "--device", "x", "--range", "0:0")]
    [InlineData("found '6:0+4096'; write a BAR", "--explain", "--uid", "1", "--device", "x", "--range", "6:0+4096")]
    [InlineData("found '0:1+4096'; write a BAR", "--explain", "--uid", "1", "--device", "x", "--range", "0:1+4096")]
    [InlineData("--range: a lease has 1 to 64 ranges of one BAR, which don't overlap.", "--explain", "--uid", "1", "--device", "x", "--range", "0:0+4096", "--range", "1:0+4096")]
    [InlineData("found '1,'; write group ids such as 100,2000.", "--explain", "--uid", "1", "--groups", "1,", "--device", "x", "--window", "w")]
    [InlineData("--p2p: such leases are read-write. Add --access read-write.", "--explain", "--uid", "1", "--device", "x", "--window", "w", "--p2p")]
    [InlineData("--uid, --json: this is for --explain. Add that.", "--uid", "1", "--json")]
    [InlineData("'rw' not recognized", "--explain", "--uid", "1", "--device", "x", "--window", "w", "--access", "rw")]
    public void What_can_not_be_explained_is_refused_with_a_cure(string expected, params string[] arguments)
        => Assert.Contains(CheckCommand.Create().Parse(arguments).Errors, error => error.Message.Contains(expected, StringComparison.Ordinal));

    public void Dispose() => File.Delete(_file);

    private (int Status, string Output) Explain(params string[] arguments)
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        ExplainOptions options = new();
        Command command = new("check");
        options.AddTo(command);
        ParseResult parsed = command.Parse(["--explain", .. arguments]);
        Assert.Empty(parsed.Errors);
        int status = CheckCommand.Explain(_file, options.Read(parsed), parsed.GetValue(options.Json), output, errors);
        Assert.Equal("", errors.ToString());
        return (status, output.ToString());
    }

    private async Task<string[]> CheckAsync(string policy)
    {
        await File.WriteAllTextAsync(_file, policy, TestContext.Current.CancellationToken);
        using StringWriter text = new();
        using StringWriter errors = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 200;
        Assert.Equal((0, ""), (CheckCommand.Run(_file, console, errors), errors.ToString()));
        return text.ToString().Split('\n');
    }
}
