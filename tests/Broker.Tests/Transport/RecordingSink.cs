using BarBroker.Unix;

namespace BarBroker.Tests.Transport;

/// <summary>Keeps what arrives beside the bytes.</summary>
internal sealed class RecordingSink : IDescriptorSink, IDisposable
{
    internal List<OwnedDescriptor> Descriptors { get; } = [];

    internal int LostCount { get; private set; }

    public void Received(OwnedDescriptor descriptor) => Descriptors.Add(descriptor);

    public void Lost() => LostCount++;

    public void Dispose() => Descriptors.ForEach(static descriptor => descriptor.Dispose());
}
