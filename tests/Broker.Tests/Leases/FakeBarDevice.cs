using System.Collections.Concurrent;
using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Unix;

namespace BarBroker.Tests.Leases;

/// <summary>
/// A device whose every call stops where the test says so, and which knows, as a kernel would, what can still be reached: exporting a range
/// that overlaps one that was not confirmed to be over is recorded as a violation.
/// </summary>
internal sealed partial class FakeBarDevice(string name = "dev0", bool canOverlap = false) : IControlledDevice
{
    private readonly Lock _lock = new();
    private readonly Dictionary<LeaseId, ImmutableArray<BarRange>> _reachable = [];
    private readonly CancellationTokenSource _gone = new();

    public string Name => name;

    public PciAddress? Address => null;

    public ImmutableArray<BarGeometry> Bars { get; } = [new(0, 1 << 20, []), new(2, 1 << 20, [Ranges.Of(2, 0x80, 1)])];

    public bool CanOverlap => canOverlap;

    public int MaxRanges { get; set; } = RangeList.MaxCount;

    /// <summary>It has write-combining memory.</summary>
    public bool CanCombineWrites { get; set; } = true;

    public CancellationToken Gone => _gone.Token;

    /// <summary>Holds exports between their call and their effect.</summary>
    public Gate ExportCalled { get; } = new();

    /// <summary>Holds exports between their effect and their return.</summary>
    public Gate ExportDone { get; } = new();

    /// <summary>Holds revokes between their call and their effect.</summary>
    public Gate RevokeCalled { get; } = new();

    /// <summary>Holds revokes between their effect and their return.</summary>
    public Gate RevokeDone { get; } = new();

    /// <summary>What the next exports throw, in place of making a lease.</summary>
    public ConcurrentQueue<Exception> ExportFailures { get; } = [];

    /// <summary>Decides of which leases a revoke does not confirm the end.</summary>
    public Func<LeaseId, bool> RevokeFails { get; set; } = _ => false;

    /// <summary>What revokes throw in place of saying so.</summary>
    public Exception? RevokeFailure { get; set; }

    /// <summary>What the exports asked for.</summary>
    public ConcurrentQueue<(uint Holder, ExportOptions Options)> Exports { get; } = [];

    /// <summary>The ids of each revoke.</summary>
    public ConcurrentQueue<ImmutableArray<LeaseId>> Revokes { get; } = [];

    /// <summary>The descriptors that exports returned.</summary>
    public ConcurrentQueue<OwnedDescriptor> Descriptors { get; } = [];

    /// <summary>What must never have happened.</summary>
    public ConcurrentQueue<string> Violations { get; } = [];

    public ImmutableArray<LeaseId> Reachable
    {
        get
        {
            lock (_lock)
            {
                return [.. _reachable.Keys.OrderBy(id => id.Value)];
            }
        }
    }

    public async Task<ExportedLease> ExportAsync(LeaseId id, uint holder, ImmutableArray<BarRange> ranges, ExportOptions options)
    {
        Exports.Enqueue((holder, options));
        await ExportCalled.PassAsync();
        if (ExportFailures.TryDequeue(out Exception? failure))
        {
            throw failure;
        }

        lock (_lock)
        {
            foreach ((LeaseId other, BarRange range) in _reachable.SelectMany(lease => lease.Value, (lease, range) => (lease.Key, range)))
            {
                if (!canOverlap && ranges.Any(range.Overlaps))
                {
                    Violations.Enqueue($"{string.Join(", ", ranges)} was exported as {id} while {other} reached {range}");
                }
            }

            _reachable.Add(id, ranges);
        }

        await ExportDone.PassAsync();
        OwnedDescriptor descriptor = Files.Open("/dev/null", OpenFlags.ReadOnly);
        Descriptors.Enqueue(descriptor);
        return new ExportedLease(descriptor, options.MemoryType);
    }

    public MemoryType? MemoryTypeFor(MemoryType wanted) => wanted == MemoryType.WriteCombining && !CanCombineWrites ? null : wanted;

    public async Task RevokeAsync(ImmutableArray<LeaseId> ids)
    {
        Revokes.Enqueue(ids);
        await RevokeCalled.PassAsync();
        if (RevokeFailure is { } failure)
        {
            throw failure;
        }

        ImmutableArray<LeaseId> unconfirmed = [.. ids.Where(RevokeFails)];
        lock (_lock)
        {
            foreach (LeaseId id in ids.Except(unconfirmed))
            {
                _reachable.Remove(id);
            }
        }

        await RevokeDone.PassAsync();
        if (!unconfirmed.IsEmpty)
        {
            throw new RevocationUnconfirmedException(name, unconfirmed);
        }
    }

    public void GoAway()
    {
        Become(condition => condition with { IsGone = true });
        _gone.Cancel();
    }

    public ValueTask DisposeAsync()
    {
        _gone.Dispose();
        Close();
        return ValueTask.CompletedTask;
    }
}
