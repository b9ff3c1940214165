using System.Collections.Immutable;
using BarBroker.Client;
using BarBroker.Client.Leases;
using BarBroker.Client.Mapping;
using BarBroker.Unix;

namespace BarBroker.Tests.Client;

/// <summary>The memory of a lease without a broker: a memfd, which is revoked as the simulated device does it.</summary>
internal sealed class TestLease : IDisposable
{
    public const ulong DefaultLength = 2 * 4096;

    public TestLease(ulong length = DefaultLength, LeaseAccess access = LeaseAccess.ReadWrite, ulong offset = 0, int ranges = 1, MemoryType memoryType = MemoryType.Cached)
    {
        Mmio.EnsureReady();
        ulong each = length / (ulong)ranges;
        ImmutableArray<BarRange> parts = [.. Enumerable.Range(0, ranges).Select(i => new BarRange(offset + (2 * (ulong)i * each), each))];
        Info = new LeaseInfo(7, "sim0", "left", 2, parts, access, true, memoryType, false);
        Memory = MemFd.Create(Name);
        Files.Truncate(Memory, length);
    }

    /// <summary>What /proc/self/maps shows.</summary>
    public string Name { get; } = $"bar-broker-test-{Guid.NewGuid():n}";

    public LeaseInfo Info { get; }

    public OwnedDescriptor Memory { get; }

    public MappedBar Map() => new(LeaseMapping.Map(Memory, Info.Ranges, Info.Access), Info, _ => { });

    public void Revoke() => Files.Truncate(Memory, 0);

    public byte[] Contents()
    {
        byte[] contents = new byte[Info.Length];
        Files.ReadAt(Memory, contents, 0);
        return contents;
    }

    public void Dispose() => Memory.Dispose();
}
