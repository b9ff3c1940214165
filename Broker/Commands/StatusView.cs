using System.Globalization;
using BarBroker.V1;
using Spectre.Console;

namespace BarBroker.Commands;

/// <summary>Draws the state of a broker. Says in letters whatever it says in colour.</summary>
internal sealed class StatusView(IAnsiConsole output, DateTimeOffset now)
{
    private const int WidestMap = 96;
    private const int PipedWidth = 160;

    private static readonly (Occupancy Occupancy, char Symbol, Color Color, string Meaning)[] Legend =
    [
        (Occupancy.Free, '.', Color.Grey, "free"),
        (Occupancy.Exclusive, '#', Color.Green, "exclusive"),
        (Occupancy.Shared, '=', Color.Aqua, "shared"),
        (Occupancy.Changing, '~', Color.Yellow, "changing"),
        (Occupancy.Quarantined, '!', Color.Red, "quarantined"),
        (Occupancy.Reserved, 'x', Color.Grey, "never leased"),
    ];

    public void Render(IReadOnlyList<V1.Device> devices, IReadOnlyList<HeldLease> leases)
    {
        if (!output.Profile.Out.IsTerminal)
        {
            // Nothing to fit into: a pipe gets whole lines.
            output.Profile.Width = Math.Max(output.Profile.Width, PipedWidth);
        }

        foreach (V1.Device device in devices)
        {
            HeldLease[] held = [.. leases.Where(held => held.Lease.Device == device.Device_)];
            RenderDevice(device, held.Length);
            foreach (Bar bar in device.Bars)
            {
                RenderBar(bar, held);
            }

            if (held.Length > 0)
            {
                RenderLeases(held);
            }

            output.WriteLine();
        }

        foreach ((_, char symbol, Color color, string meaning) in Legend)
        {
            output.Write(symbol.ToString(), new Style(color));
            output.Write($" {meaning}  ");
        }

        output.WriteLine();
    }

    private void RenderDevice(V1.Device device, int leases)
    {
        output.Write(device.Device_, new Style(decoration: Decoration.Bold));
        output.Write($"  {(device.Simulated ? "simulated" : device.Address)}");
        if (device.State is not (DeviceState.Serving or DeviceState.Unspecified))
        {
            Color color = device.State == DeviceState.Suspended ? Color.Yellow : Color.Red;
            output.Write($"  {DescribeState(device)}", new Style(color, decoration: Decoration.Bold));
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {leases} {(leases == 1 ? "lease" : "leases")}"));
        if (device.Message.Length > 0)
        {
            output.WriteLine($"  {device.Message}");
        }
    }

    private static string DescribeState(V1.Device device) => device.State switch
    {
        DeviceState.Gone => "GONE",
        DeviceState.Stuck => "STUCK",
        DeviceState.Suspended => device.SuspendReason switch
        {
            SuspendReason.MemoryOff => "SUSPENDED (memory off)",
            SuspendReason.LowPower => "SUSPENDED (D3hot)",
            SuspendReason.Reset => "SUSPENDED (reset)",
            _ => "SUSPENDED",
        },
        _ => device.State.ToString().ToUpperInvariant(),
    };

    private void RenderBar(Bar bar, HeldLease[] leases)
    {
        string label = $"  BAR {bar.Bar_}  0x{bar.Size:x}";
        output.Write($"{label,-24}[");
        Occupancy[] map = OccupancyMap.Of(bar, leases, Math.Clamp(output.Profile.Width - 30, 8, WidestMap));
        for (int start = 0, end; start < map.Length; start = end)
        {
            // Cells of a colour go out together.
            end = Array.FindIndex(map, start, cell => cell != map[start]) is >= 0 and int next ? next : map.Length;
            (_, char symbol, Color color, _) = Legend.First(entry => entry.Occupancy == map[start]);
            output.Write(new string(symbol, end - start), new Style(color));
        }

        output.WriteLine("]");
    }

    private void RenderLeases(HeldLease[] leases)
    {
        Table table = new() { Border = TableBorder.None };
        bool hasUnits = Array.Exists(leases, held => held.Holder.Unit.Length > 0);
        foreach (string heading in (string[])["  LEASE", "BAR", "RANGE", "WINDOW", "ACCESS", "STATE", "UID", "PID", "SINCE", "LEFT", .. hasUnits ? (string[])["UNIT"] : []])
        {
            table.AddColumn(new TableColumn(new Text(heading)) { NoWrap = true });
        }

        foreach (HeldLease held in leases.OrderBy(held => held.Lease.Bar).ThenBy(held => held.Lease.Ranges.FirstOrDefault()?.Offset ?? 0))
        {
            Lease lease = held.Lease;
            table.AddRow(
            [
                new Text(string.Create(CultureInfo.InvariantCulture, $"  {lease.LeaseId}")),
                new Text(lease.Bar.ToString(CultureInfo.InvariantCulture)),
                new Text(string.Join("\n", lease.Ranges.Select(range => $"0x{range.Offset:x}+0x{range.Length:x}"))),
                new Text(lease.Window.Length > 0 ? lease.Window : "-"),
                new Text(DescribeAccess(lease)),
                Describe(held.State),
                new Text(DescribeUser(held.Holder)),
                new Text(held.Holder.Pid.ToString(CultureInfo.InvariantCulture)),
                new Text(DescribeSpan(now - held.AcquireTime.ToDateTimeOffset())),
                new Text(lease.ExpireTime is { } end ? DescribeSpan(end.ToDateTimeOffset() - now) : "-"),
                .. hasUnits ? (Text[])[new Text(held.Holder.Unit.Length > 0 ? held.Holder.Unit : "-")] : [],
            ]);
        }

        output.Write(table);
    }

    private static string DescribeAccess(Lease lease)
        => $"{(lease.Access == Access.ReadWrite ? "rw" : "ro")} {(lease.Exclusive ? "exclusive" : "shared")}"
            + $"{(lease.MemoryType == MemoryType.WriteCombining ? " wc" : "")}{(lease.P2P ? " p2p" : "")}";

    private static string DescribeUser(Holder holder)
        => string.Create(CultureInfo.InvariantCulture, $"{holder.Uid}{(holder.UserNamespace == UserNamespace.Other ? " (other user namespace)" : "")}");

    private static Text Describe(LeaseState state) => state switch
    {
        LeaseState.Active => new Text("active"),
        LeaseState.Noticed => new Text("noticed", new Style(Color.Yellow)),
        LeaseState.Ending => new Text("ending", new Style(Color.Yellow)),
        LeaseState.Quarantined => new Text("QUARANTINED", new Style(Color.Red)),
        _ => new Text("being made", new Style(Color.Yellow)),
    };

    private static string DescribeSpan(TimeSpan span) => span switch
    {
        { TotalSeconds: < 1 } => "now",
        { TotalMinutes: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{span.Seconds} s"),
        { TotalHours: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{span.Minutes} min"),
        { TotalDays: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{span.Hours} h {span.Minutes} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalDays} d {span.Hours} h"),
    };
}
