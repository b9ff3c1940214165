using System.Collections.Immutable;

namespace BarBroker.Devices;

/// <summary>Whether ranges fit the device that they are meant for.</summary>
internal static class DeviceGeometry
{
    /// <summary>The first reason why <paramref name="range"/> can't be leased on a device with these BARs; null when it can.</summary>
    public static GeometryProblem? Check(ImmutableArray<BarGeometry> bars, BarRange range)
    {
        if (CheckBounds(bars, range) is { } problem)
        {
            return problem;
        }

        foreach (BarRange reserved in bars.First(bar => bar.Index == range.Bar).Reserved)
        {
            if (reserved.Overlaps(range))
            {
                return new GeometryProblem(
                    GeometryProblemKind.Reserved,
                    $"{range} touches the device's MSI-X table or pending bits at {reserved}, which are never leased: end before 0x{reserved.Offset:x} or begin at 0x{reserved.End:x}.");
            }
        }

        return null;
    }

    /// <summary>As <see cref="Check"/>, but lets a range cover what is never leased: an area may.</summary>
    public static GeometryProblem? CheckBounds(ImmutableArray<BarGeometry> bars, BarRange range)
    {
        if (bars.FirstOrDefault(bar => bar.Index == range.Bar) is not { } geometry)
        {
            string known = bars.IsEmpty ? "it has none that can be mapped" : $"those that can be mapped are {string.Join(", ", bars.Select(bar => bar.Index))}";
            return new GeometryProblem(GeometryProblemKind.BarUnknown, $"the device has no BAR {range.Bar}: {known}.");
        }

        return range.End <= geometry.Size
            ? null
            : new GeometryProblem(GeometryProblemKind.BeyondBar, $"{range} ends at 0x{range.End:x}, beyond the BAR's size, 0x{geometry.Size:x}.");
    }
}

/// <summary>A reason why a range can't be leased on a device.</summary>
/// <param name="Kind">For programs.</param>
/// <param name="Message">For people: the numbers, and what would be right.</param>
internal sealed record GeometryProblem(GeometryProblemKind Kind, string Message);

/// <summary>Kinds of <see cref="GeometryProblem"/>.</summary>
internal enum GeometryProblemKind
{
    /// <summary>The device has no such BAR that can be mapped.</summary>
    BarUnknown,

    /// <summary>The range goes past the BAR's end.</summary>
    BeyondBar,

    /// <summary>The range touches what is never leased.</summary>
    Reserved,
}
