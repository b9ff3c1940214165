using BarBroker.Devices;
using BarBroker.Policy;

namespace BarBroker.Rpc.Services;

/// <summary>The policy, and the open device for each of its definitions.</summary>
internal sealed class ServedDevices(BrokerPolicy policy, IEnumerable<IBarDevice> devices)
{
    private readonly Dictionary<string, IBarDevice> _devices = devices.ToDictionary(device => device.Name, StringComparer.Ordinal);

    public BrokerPolicy Policy { get; } = policy;

    /// <summary>The device of a definition of <see cref="Policy"/>.</summary>
    public IBarDevice this[string name] => _devices[name];
}
