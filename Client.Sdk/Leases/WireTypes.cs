using System.Collections.Immutable;
using BarBroker.V1;
using Google.Protobuf.WellKnownTypes;

namespace BarBroker.Client.Leases;

/// <summary>The contract's types, and the SDK's own.</summary>
internal static class WireTypes
{
    private const int PageSize = 4096;

    public static Access ToWire(LeaseAccess access) => access switch
    {
        LeaseAccess.ReadOnly => Access.ReadOnly,
        LeaseAccess.ReadWrite => Access.ReadWrite,
        _ => throw new ArgumentOutOfRangeException(nameof(access), access, "Access is ReadOnly or ReadWrite."),
    };

    public static LeaseAccess ParseAccess(Access access) => access switch
    {
        Access.ReadOnly => LeaseAccess.ReadOnly,
        Access.ReadWrite => LeaseAccess.ReadWrite,
        _ => throw new FormatException($"access {access} is unknown"),
    };

    public static MemoryType ParseMemoryType(V1.MemoryType type) => type switch
    {
        V1.MemoryType.Uncached => MemoryType.Uncached,
        V1.MemoryType.Cached => MemoryType.Cached,
        V1.MemoryType.WriteCombining => MemoryType.WriteCombining,
        _ => MemoryType.Unknown,
    };

    public static LeaseEndReason ParseEndReason(EndReason reason) => reason switch
    {
        EndReason.Released => LeaseEndReason.Released,
        EndReason.Revoked => LeaseEndReason.Revoked,
        EndReason.ConnectionClosed => LeaseEndReason.ConnectionClosed,
        EndReason.ProcessExited => LeaseEndReason.ProcessExited,
        EndReason.DeviceGone => LeaseEndReason.DeviceGone,
        EndReason.Shutdown => LeaseEndReason.Shutdown,
        EndReason.Expired => LeaseEndReason.Expired,
        _ => LeaseEndReason.Unknown,
    };

    public static DeviceSuspension ParseSuspension(DeviceSuspended suspended) => new(
        suspended.Reason switch
        {
            SuspendReason.MemoryOff => DeviceSuspendReason.MemoryOff,
            SuspendReason.LowPower => DeviceSuspendReason.LowPower,
            SuspendReason.Reset => DeviceSuspendReason.Reset,
            _ => DeviceSuspendReason.Unknown,
        },
        suspended.Message);

    public static LeaseNotice ParseNotice(LeaseEnding ending) => new(ParseEndReason(ending.Reason), ending.EndTime?.ToDateTimeOffset() ?? DateTimeOffset.MinValue, ending.Message);

    /// <summary>Of a lease that a snapshot has; null when its end was not announced.</summary>
    public static LeaseNotice? ParseNotice(Lease lease) => lease.Ending == EndReason.Unspecified
        ? null
        : new LeaseNotice(ParseEndReason(lease.Ending), lease.ExpireTime?.ToDateTimeOffset() ?? DateTimeOffset.MinValue, "its end was announced");

    /// <summary>Null asks for as long as the grant allows.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not positive.</exception>
    public static Duration? ToWire(TimeSpan? leaseTime) => leaseTime switch
    {
        null => null,
        { } time when time > TimeSpan.Zero => Duration.FromTimeSpan(time),
        _ => throw new ArgumentOutOfRangeException(nameof(leaseTime), leaseTime, "A lease lives longer than no time."),
    };

    public static int ParseBar(uint bar) => bar <= 5 ? (int)bar : throw new FormatException($"BAR {bar} is none of 0 to 5");

    public static BarRange ParseRange(V1.Range? range) =>
        range is { Length: > 0 } && range.Offset % PageSize == 0 && range.Length % PageSize == 0 && range.Offset <= long.MaxValue - range.Length
            ? new BarRange(range.Offset, range.Length)
            : throw new FormatException($"range {range} is not a part of a BAR in pages of {PageSize} bytes");

    public static ImmutableArray<BarRange> ParseRanges(IEnumerable<V1.Range> ranges)
    {
        ImmutableArray<BarRange> parsed = [.. ranges.Select(ParseRange)];
        return parsed.IsEmpty ? throw new FormatException("no ranges") : parsed;
    }

    /// <exception cref="FormatException">It can't be right.</exception>
    public static GrantedDevice ParseDevice(V1.GrantedDevice device) => new(
        device.Device,
        [.. device.Windows.Select(window => new GrantedWindow(
            window.Window,
            ParseBar(window.Bar),
            ParseRanges(window.Ranges),
            ParseAccess(window.Access),
            window.Exclusive,
            ParseMemoryType(window.MemoryType),
            window.P2P))],
        [.. device.Areas.Select(area => new GrantedArea(
            ParseBar(area.Bar), ParseRange(area.Range), ParseAccess(area.Access), area.Exclusive, ParseMemoryType(area.MemoryType), area.P2P))]);
}
