using System.Globalization;

namespace BarBroker.Devices;

/// <summary>The handle of a lease: chosen by the broker, known to the kernel, never 0, never used twice.</summary>
public readonly record struct LeaseId(ulong Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
