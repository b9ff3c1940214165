using System.Collections.Frozen;
using System.Collections.Immutable;
using BarBroker.Devices;

namespace BarBroker.Policy;

/// <summary>A device as the policy defines it.</summary>
/// <param name="Name">What clients call it.</param>
/// <param name="Source">Where it comes from.</param>
/// <param name="Windows">Its named ranges, in the order of the file.</param>
/// <param name="Grants">What may be leased of it and by whom, in the order of the file.</param>
internal sealed record DeviceDefinition(string Name, DeviceSource Source, ImmutableArray<Window> Windows, ImmutableArray<Grant> Grants)
{
    private readonly FrozenDictionary<string, Window> _windows = Windows.ToFrozenDictionary(window => window.Name, StringComparer.Ordinal);

    /// <summary>The same grants, as decisions find them.</summary>
    public GrantIndex Index { get; } = new(Windows, Grants);

    /// <summary>The window of that name, or null.</summary>
    public Window? FindWindow(string name) => _windows.GetValueOrDefault(name);
}

/// <summary>What a device really is.</summary>
/// <param name="At">Where the file says so.</param>
/// <param name="KeyPath">The key that says so.</param>
internal abstract record DeviceSource(FilePosition At, string KeyPath);

/// <summary>A PCI function, through VFIO.</summary>
internal sealed record PciSource(FilePosition At, string KeyPath, PciAddress Address) : DeviceSource(At, KeyPath);

/// <summary>A PCI function, through VFIO, wherever it sits.</summary>
internal sealed record PciIdentitySource(FilePosition At, string KeyPath, PciIdentity Identity) : DeviceSource(At, KeyPath);

/// <summary>A simulated device with these BARs.</summary>
internal sealed record SimulatedSource(FilePosition At, string KeyPath, ImmutableArray<BarGeometry> Bars) : DeviceSource(At, KeyPath);

/// <summary>Ranges with a name.</summary>
/// <param name="Name">What clients call it.</param>
/// <param name="Ranges">What it stands for.</param>
/// <param name="At">Where the file defines it.</param>
/// <param name="KeyPath">The key that defines it.</param>
/// <param name="IsOfSeries">That key defines others as well.</param>
internal sealed record Window(string Name, RangeList Ranges, FilePosition At, string KeyPath, bool IsOfSeries = false);

/// <summary>A range in which a client may choose its own.</summary>
/// <param name="Range">The whole.</param>
/// <param name="At">Where the file grants it.</param>
/// <param name="KeyPath">The key that grants it.</param>
internal sealed record Area(BarRange Range, FilePosition At, string KeyPath);
