using System.Diagnostics;
using BarBroker.Devices;
using BarBroker.Devices.Simulated;
using BarBroker.Tests.Native;
using Xunit;

namespace BarBroker.Tests.Devices.Simulated;

public sealed class HostileHolderTests
{
    private const string Done = "0";
    private const string NotPermitted = "1";
    private const string BadDescriptor = "9";
    private const string NoAccess = "13";

    [Theory]
    [InlineData(LeaseAccess.ReadOnly)]
    [InlineData(LeaseAccess.ReadWrite)]
    public async Task Revoke_takes_the_memory_from_a_process_that_fights_for_it(LeaseAccess access)
    {
        Dictionary<string, string> seen = await FightAsync(access);

        Assert.Equal("b12b0c", seen["before"]);
        Assert.Equal("SIGBUS", seen["after"]);
        Assert.Equal("SIGBUS", seen["late"]);
        Assert.Equal("SIGBUS", seen["still"]);
        Assert.NotEqual(Done, seen["regrow"]);
        Assert.NotEqual(Done, seen["allocate"]);
    }

    [Fact]
    public async Task A_read_only_lease_can_not_be_made_writable()
    {
        Dictionary<string, string> seen = await FightAsync(LeaseAccess.ReadOnly);

        Assert.Equal(NoAccess, seen["reopen-writable"]);
        Assert.Equal(NoAccess, seen["reopen"]);
        Assert.Equal(BadDescriptor, seen["write"]);
        Assert.Equal(NoAccess, seen["map-writable"]);
        Assert.Equal(NoAccess, seen["protect-writable"]);
        Assert.Equal(Done, seen["map"]);
    }

    [Fact]
    public async Task A_read_write_lease_can_not_be_widened_or_sealed()
    {
        Dictionary<string, string> seen = await FightAsync(LeaseAccess.ReadWrite);

        Assert.Equal(NoAccess, seen["reopen"]);
        Assert.Equal(NotPermitted, seen["grow"]);
        Assert.Equal(NotPermitted, seen["seal"]);
        Assert.Equal(Done, seen["map-writable"]);
    }

    [Fact]
    public async Task The_mode_can_only_be_changed_back_by_the_brokers_own_user()
    {
        Dictionary<string, string> seen = await FightAsync(LeaseAccess.ReadWrite);

        Assert.Equal(Environment.IsPrivilegedProcess ? NotPermitted : Done, seen["chmod"]);
    }

    private static async Task<Dictionary<string, string>> FightAsync(LeaseAccess access)
    {
        using NativeProgram program = await NativeProgram.CompileAsync(HostileHolder.Source);
        await using SimulatedBarDevice device = new("sim", [new(2, 0x10000)]);
        Assert.Equal(RangeError.None, BarRange.TryCreate(2, 0, 0x4000, out BarRange range));
        ExportedLease lease = await device.ExportAsync(new LeaseId(1), holder: 0, [range], new ExportOptions(access));
        using Process holder = program.StartWith(lease.Descriptor);
        lease.Descriptor.Dispose();
        Dictionary<string, string> seen = [];
        while (await holder.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line && line != "ready")
        {
            Note(seen, line);
        }

        await device.RevokeAsync([new LeaseId(1)]);

        await holder.StandardInput.WriteLineAsync("revoked");
        await holder.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        foreach (string line in (await holder.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Note(seen, line);
        }

        await holder.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, holder.ExitCode);
        return seen;
    }

    private static void Note(Dictionary<string, string> seen, string line)
    {
        string[] parts = line.Split('=');
        seen.Add(parts[0], parts[1]);
    }
}
