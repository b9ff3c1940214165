using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>A session of the module that keeps what it was asked, and fails as the test says.</summary>
internal sealed class FakeSession : ILeaseSession
{
    public int MaxRanges => 2;

    public uint MemoryTypes { get; set; } = 1 << (int)BarLeaseUapi.MemoryUncached;

    public List<(LeaseId Id, uint Holder, ExportOptions Options)> Exports { get; } = [];

    public List<OwnedDescriptor> Descriptors { get; } = [];

    public List<LeaseId> Revoked { get; } = [];

    public UnixException? ExportFailure { get; set; }

    public UnixException? RevokeFailure { get; set; }

    /// <summary>Decides which leases do not end with a revoke that fails.</summary>
    public Func<LeaseId, bool> Resists { get; set; } = _ => true;

    public Exception? ListFailure { get; set; }

    /// <summary>As what it lists leases.</summary>
    public ListedLeaseState ListedState { get; set; } = ListedLeaseState.Revoking;

    /// <summary>How often it was asked for a list.</summary>
    public int Lists { get; private set; }

    public Action BeforeRevoke { get; set; } = () => { };

    public uint MemoryType { get; set; } = BarLeaseUapi.MemoryUncached;

    public SessionLease Export(LeaseId id, uint holder, PciAddress address, ImmutableArray<BarRange> ranges, ExportOptions options, OwnedDescriptor dmabuf)
    {
        Assert.False(dmabuf.IsClosed);
        if (ExportFailure is not null)
        {
            throw ExportFailure;
        }

        Exports.Add((id, holder, options));
        OwnedDescriptor descriptor = MemFd.Create("outer");
        Descriptors.Add(descriptor);
        return new SessionLease(descriptor, MemoryType, Verified: true);
    }

    public int Revoke(ReadOnlySpan<LeaseId> ids)
    {
        BeforeRevoke();
        LeaseId[] ended = [.. ids.ToArray().Where(id => RevokeFailure is null || !Resists(id))];
        Revoked.AddRange(ended);
        return RevokeFailure is null ? ended.Length : throw RevokeFailure;
    }

    public ImmutableArray<ListedLease> List()
    {
        Lists++;
        return ListFailure is null
            ? [.. Exports.Select(export => export.Id).Except(Revoked).Select(id => new ListedLease(id, default, [], ExportOptions.ReadWrite, ListedState))]
            : throw ListFailure;
    }
}
