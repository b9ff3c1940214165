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

    public void Dispose() => File.Delete(_file);

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
