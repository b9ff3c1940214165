using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Tests.Leases;
using BarBroker.Unix;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>A function that does what the test says. BAR 0 has four pages, of which the third is reserved.</summary>
internal sealed class FakeFunction : IVfioFunction
{
    public List<OwnedDescriptor> Exported { get; } = [];

    public EventFd? Request { get; private set; }

    public Action BeforeExport { get; set; } = () => { };

    public Exception? ReadFailure { get; set; }

    public bool IsDisposed { get; private set; }

    public bool CanReset { get; set; } = true;

    public bool CanSleep { get; set; } = true;

    public bool SleepsWithoutReset { get; set; } = true;

    /// <summary>Every call that changes its state, in order.</summary>
    public List<string> Calls { get; } = [];

    /// <summary>Is told each of them before it has an effect; may throw, or hold it up.</summary>
    public Action<string> BeforeCall { get; set; } = _ => { };

    public Action BeforeDispose { get; set; } = () => { };

    public void SetMemory(bool on) => Call(on ? "memory on" : "memory off");

    public void SetSleep(bool asleep) => Call(asleep ? "sleep" : "wake");

    public void Reset() => Call("reset");

    public ImmutableArray<BarGeometry> ReadBars() => ReadFailure is null ? [new BarGeometry(0, 0x4000, [Ranges.Of(0, 2, 1)])] : throw ReadFailure;

    public void RaiseOnRequest(EventFd request) => Request = request;

    public OwnedDescriptor ExportDmaBuf(ImmutableArray<BarRange> ranges)
    {
        BeforeExport();
        OwnedDescriptor descriptor = MemFd.Create("inner");
        Exported.Add(descriptor);
        return descriptor;
    }

    public void Dispose()
    {
        BeforeDispose();
        IsDisposed = true;
    }

    private void Call(string name)
    {
        BeforeCall(name);
        Calls.Add(name);
    }
}
