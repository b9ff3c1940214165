using System.Collections.Concurrent;
using BarBroker.Devices;
using BarBroker.Policy;

namespace BarBroker.Rpc.Services;

/// <summary>The policy, and the device for each of its definitions: the open one, or the last that was, or what stands for one that is still being opened. Thread-safe.</summary>
internal sealed class ServedDevices(BrokerPolicy policy, IEnumerable<IBarDevice> devices)
{
    private readonly ConcurrentDictionary<string, IBarDevice> _devices = new(devices.Select(device => KeyValuePair.Create(device.Name, device)), StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, string> _notes = new(StringComparer.Ordinal);

    public BrokerPolicy Policy { get; } = policy;

    /// <summary>The device of a definition of <see cref="Policy"/>.</summary>
    public IBarDevice this[string name] => _devices[name];

    /// <summary>Puts a device in the place of the one of its name, which is gone or was not open.</summary>
    public void Replace(IBarDevice device)
    {
        _devices[device.Name] = device;
        _notes.TryRemove(device.Name, out _);
    }

    /// <summary>Why a device that is gone was not taken yet, for people; null when nothing is known.</summary>
    public string? NoteOf(string name) => _notes.GetValueOrDefault(name);

    /// <summary>Says why a device that is gone was not taken yet.</summary>
    public void SetNote(string name, string note) => _notes[name] = note;
}
