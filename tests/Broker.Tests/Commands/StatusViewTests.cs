using BarBroker.Commands;
using BarBroker.V1;
using Google.Protobuf.WellKnownTypes;
using Spectre.Console;
using Xunit;

namespace BarBroker.Tests.Commands;

public sealed class StatusViewTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    [Fact]
    public void Through_a_pipe_it_is_plain_text_in_whole_lines()
    {
        Device device = new()
        {
            Device_ = "nvme0",
            Address = "0000:01:00.0",
            State = DeviceState.Gone,
            Bars = { new Bar { Bar_ = 0, Size = 0x10000, Reserved = { new V1.Range { Offset = 0xf000, Length = 0x1000 } } } },
        };

        string[] lines = Render([device], [Held(7, 0, 0x2000, LeaseState.Active, exclusive: true), Held(8, 0x4000, 0x1000, LeaseState.Quarantined, exclusive: true)]);

        Assert.Equal("nvme0  0000:01:00.0  GONE  2 leases", lines[0]);
        Assert.Equal("  BAR 0  0x10000        [##..!..........x]", lines[1]);
        Assert.Equal("7 0 0x0+0x2000 doorbell rw exclusive active 1000 42 3 min -", Words(lines[3]));
        Assert.Equal("8 0 0x4000+0x1000 doorbell rw exclusive QUARANTINED 1000 42 3 min -", Words(lines[4]));
        Assert.DoesNotContain(lines, line => line.Contains('\u001b', StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(DeviceState.Serving, SuspendReason.Unspecified, "nvme0  0000:01:00.0  0 leases")]
    [InlineData(DeviceState.Suspended, SuspendReason.MemoryOff, "nvme0  0000:01:00.0  SUSPENDED (memory off)  0 leases")]
    [InlineData(DeviceState.Suspended, SuspendReason.LowPower, "nvme0  0000:01:00.0  SUSPENDED (D3hot)  0 leases")]
    [InlineData(DeviceState.Suspended, SuspendReason.Reset, "nvme0  0000:01:00.0  SUSPENDED (reset)  0 leases")]
    [InlineData(DeviceState.Stuck, SuspendReason.Unspecified, "nvme0  0000:01:00.0  STUCK  0 leases")]
    public void What_is_the_matter_with_a_device_stands_behind_its_name_and_below(DeviceState state, SuspendReason reason, string expected)
    {
        string[] lines = Render([new Device { Device_ = "nvme0", Address = "0000:01:00.0", State = state, SuspendReason = reason, Message = "Why." }], []);

        Assert.Equal(expected, lines[0].TrimEnd());
        Assert.Equal("  Why.", lines[1].TrimEnd());
    }

    [Fact]
    public void A_holder_of_another_user_namespace_is_shown_as_such_and_units_where_there_are_any()
    {
        HeldLease contained = Held(7, 0, 0x1000, LeaseState.Active, exclusive: true);
        contained.Holder.UserNamespace = UserNamespace.Other;
        contained.Holder.Unit = "docker-0123.scope";
        HeldLease other = Held(8, 0x4000, 0x1000, LeaseState.Active, exclusive: true);
        other.Holder.UserNamespace = UserNamespace.Own;

        string[] lines = Render([new Device { Device_ = "nvme0", State = DeviceState.Serving }], [contained, other]);

        Assert.EndsWith("UID PID SINCE LEFT UNIT", Words(lines[1]), StringComparison.Ordinal);
        Assert.EndsWith("active 1000 (other user namespace) 42 3 min - docker-0123.scope", Words(lines[2]), StringComparison.Ordinal);
        Assert.EndsWith("active 1000 42 3 min - -", Words(lines[3]), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_range_of_a_lease_has_a_line_and_what_is_special_about_it_is_named()
    {
        Device device = new() { Device_ = "nvme0", Address = "0000:01:00.0", State = DeviceState.Serving, Bars = { new Bar { Bar_ = 0, Size = 0x10000 } } };
        HeldLease held = Held(7, 0x8000, 0x1000, LeaseState.Active, exclusive: false);
        held.Lease.Ranges.Add(new V1.Range { Offset = 0x2000, Length = 0x1000 });
        held.Lease.MemoryType = MemoryType.WriteCombining;
        held.Lease.P2P = true;

        string[] lines = Render([device], [held]);

        Assert.Equal("  BAR 0  0x10000        [..=.....=.......]", lines[1]);
        Assert.Equal("7 0 0x8000+0x1000 doorbell rw shared wc p2p active 1000 42 3 min -", Words(lines[3]));
        Assert.Equal("0x2000+0x1000", Words(lines[4]));
    }

    [Fact]
    public void How_long_a_lease_has_left_stands_behind_it()
    {
        Device device = new() { Device_ = "nvme0", Address = "0000:01:00.0", State = DeviceState.Serving, Bars = { new Bar { Bar_ = 0, Size = 0x10000 } } };
        HeldLease expires = Held(7, 0, 0x1000, LeaseState.Active, exclusive: true);
        expires.Lease.ExpireTime = Timestamp.FromDateTimeOffset(Now + TimeSpan.FromMinutes(2));
        HeldLease noticed = Held(8, 0x8000, 0x1000, LeaseState.Noticed, exclusive: true);
        noticed.Lease.ExpireTime = Timestamp.FromDateTimeOffset(Now + TimeSpan.FromSeconds(9));

        string[] lines = Render([device], [expires, noticed]);

        // One with notice is held until then.
        Assert.Equal("  BAR 0  0x10000        [#.......#.......]", lines[1]);
        Assert.EndsWith("active 1000 42 3 min 2 min", Words(lines[3]), StringComparison.Ordinal);
        Assert.EndsWith("noticed 1000 42 3 min 9 s", Words(lines[4]), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_held_shows_however_small_it_is()
    {
        Bar bar = new() { Bar_ = 2, Size = 1UL << 40 };

        Occupancy[] map = OccupancyMap.Of(bar, [Held(1, (1UL << 40) - 0x1000, 0x1000, LeaseState.Active, exclusive: false, bar: 2)], 64);

        Assert.Equal(64, map.Length);
        Assert.Equal(Occupancy.Shared, map[63]);
        Assert.All(map[..63], cell => Assert.Equal(Occupancy.Free, cell));
    }

    [Fact]
    public void A_quarantine_is_not_hidden_by_what_shares_its_cell()
    {
        Bar bar = new() { Bar_ = 0, Size = 0x100000 };
        HeldLease[] leases = [Held(1, 0, 0x1000, LeaseState.Quarantined, exclusive: true), Held(2, 0x1000, 0x1000, LeaseState.Active, exclusive: true)];

        Assert.Equal(Occupancy.Quarantined, OccupancyMap.Of(bar, leases, 8)[0]);
    }

    private static HeldLease Held(ulong id, ulong offset, ulong length, LeaseState state, bool exclusive, uint bar = 0) => new()
    {
        Lease = new Lease
        {
            LeaseId = id,
            Device = "nvme0",
            Window = "doorbell",
            Bar = bar,
            Ranges = { new V1.Range { Offset = offset, Length = length } },
            Access = Access.ReadWrite,
            Exclusive = exclusive,
        },
        Holder = new Holder { Uid = 1000, Gid = 1000, Pid = 42 },
        State = state,
        AcquireTime = Timestamp.FromDateTimeOffset(Now - TimeSpan.FromMinutes(3)),
    };

    private static string[] Render(Device[] devices, HeldLease[] leases)
    {
        using StringWriter text = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Out = new AnsiConsoleOutput(text) });
        new StatusView(console, Now).Render(devices, leases);
        return text.ToString().Split('\n');
    }

    private static string Words(string line) => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
