namespace BarBroker.Client;

/// <summary>A part of a BAR. Both numbers are multiples of the page size (4096).</summary>
/// <param name="Offset">Bytes from the start of the BAR.</param>
/// <param name="Length">Bytes; not 0.</param>
public readonly record struct BarRange(ulong Offset, ulong Length);
