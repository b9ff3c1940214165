namespace BarBroker.Policy;

/// <summary>A device as far as it could be read.</summary>
internal sealed class DeviceDraft(string name)
{
    public string Name { get; } = name;

    public DeviceSource? Source { get; set; }

    /// <summary>By name, in the order of the file; null where one is not valid: a grant that names it is not to blame.</summary>
    public OrderedDictionary<string, (FilePosition At, Window? Window)> Windows { get; } = new(StringComparer.Ordinal);

    /// <summary>What its grants select windows by.</summary>
    public Dictionary<string, WindowSelector> Selectors { get; } = new(StringComparer.Ordinal);

    public List<Grant> Grants { get; } = [];

    public DeviceDefinition ToDefinition() => new(Name, Source!, [.. Windows.Values.Select(entry => entry.Window!)], [.. Grants]);
}
