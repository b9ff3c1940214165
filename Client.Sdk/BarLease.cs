using System.Collections.Immutable;
using BarBroker.Client.Leases;
using BarBroker.Client.Mapping;
using BarBroker.Grpc;
using BarBroker.Unix;

namespace BarBroker.Client;

/// <summary>
/// A live hold on parts of a BAR: from <see cref="BarBrokerClient.AcquireAsync(string, string, LeaseAccess, CancellationToken)"/>.
/// It belongs to its client's connection and ends with it. The broker can end it at any time; <see cref="Ended"/> tells. All members
/// may be used by several threads at once.
/// </summary>
public sealed partial class BarLease : IAsyncDisposable
{
    private const int NoDevice = 19;

    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly List<MappedBar> _mappings = [];
    private readonly LeaseInfo _info;
    private readonly Func<BarLease, Task<LeaseEndReason>> _releaseAtBroker;
    private readonly Func<V1.RenewRequest, Task<V1.Lease>> _renewAtBroker;
    private LeaseEndReason? _endReason;
    private string? _endMessage;
    private Task? _release;

    internal BarLease(
        LeaseInfo info,
        DateTimeOffset? expireTime,
        OwnedDescriptor descriptor,
        Func<BarLease, Task<LeaseEndReason>> releaseAtBroker,
        Func<V1.RenewRequest, Task<V1.Lease>> renewAtBroker)
    {
        _info = info;
        _expireTime = expireTime;
        Descriptor = descriptor;
        _releaseAtBroker = releaseAtBroker;
        _renewAtBroker = renewAtBroker;
    }

    /// <summary>The broker's number for it: what its administrator sees. Never 0.</summary>
    public ulong Id => _info.Id;

    /// <summary>The device's name in the policy.</summary>
    public string Device => _info.Device;

    /// <summary>The window's name in the policy; null when a range was asked for.</summary>
    public string? Window => _info.Window;

    /// <summary>Base address register, 0 to 5.</summary>
    public int Bar => _info.Bar;

    /// <summary>Where it begins: bytes from the start of the BAR. Of several ranges, the first one's.</summary>
    public ulong Offset => _info.Ranges[0].Offset;

    /// <summary>Bytes; of all ranges together.</summary>
    public ulong Length => _info.Length;

    /// <summary>
    /// What a mapping holds, one range after the other, in the order of the policy's window or of the request. Byte 0 of the lease is the first byte
    /// of the first range; what lies between two ranges in the BAR is not in it.
    /// </summary>
    public ImmutableArray<BarRange> Ranges => _info.Ranges;

    /// <summary>What may be done with the memory.</summary>
    public LeaseAccess Access => _info.Access;

    /// <summary>No other lease overlaps it while it lives.</summary>
    public bool Exclusive => _info.Exclusive;

    /// <summary>How the CPU reaches the memory, as the kernel says.</summary>
    public MemoryType MemoryType => _info.MemoryType;

    /// <summary>Drivers of other devices can attach to <see cref="Descriptor"/>: <see cref="AcquireOptions.P2P"/>.</summary>
    public bool P2P => _info.P2P;

    /// <summary>
    /// The DMABUF (of a simulated device, a memfd) that maps the lease, from its offset 0. It stays this object's, and is closed when
    /// the lease is released. Map it with <see cref="Map"/>: touching any other mapping of it after the lease's end ends the process.
    /// </summary>
    public OwnedDescriptor Descriptor { get; }

    /// <summary>
    /// Is cancelled when the lease is over, for whatever reason; <see cref="EndReason"/> is set then. Its callbacks run on the thread
    /// pool. The kernel may have taken the memory back a little earlier: an access then throws <see cref="LeaseRevokedException"/>.
    /// </summary>
    public CancellationToken Ended => _ended.Token;

    /// <summary>Why it ended; null while it lives.</summary>
    public LeaseEndReason? EndReason
    {
        get
        {
            lock (_lock)
            {
                return _endReason;
            }
        }
    }

    /// <summary>Why it ended, in the broker's words, for people; null while it lives.</summary>
    public string? EndMessage
    {
        get
        {
            lock (_lock)
            {
                return _endMessage;
            }
        }
    }

    /// <summary>
    /// Maps exactly the lease, for exactly its access: several ranges as one contiguous space. A mapping may be disposed before the lease;
    /// releasing the lease disposes it.
    /// </summary>
    /// <remarks>
    /// Of uncached memory, the 2 MiB of a range that are aligned in the BAR take one page fault where the kernel has transparent huge
    /// pages (/sys/kernel/mm/transparent_hugepage/enabled says "always" or "madvise"), else 512. Of several ranges, that is so for those
    /// whose places in the BAR and in the lease agree modulo 2 MiB with most of the lease.
    /// </remarks>
    /// <exception cref="LeaseRevokedException">The lease is over.</exception>
    /// <exception cref="ObjectDisposedException">The lease was released.</exception>
    /// <exception cref="UnixException">The kernel refused, such as for lack of address space (ENOMEM).</exception>
    /// <exception cref="PlatformNotSupportedException">The SDK's native library is not there, or not for this machine.</exception>
    /// <exception cref="InvalidOperationException">The process has two copies of the SDK's native library.</exception>
    public MappedBar Map()
    {
        Mmio.EnsureReady();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_release is not null, this);
            MappedBar mapped = new(MapMemory(), _info, Forget);
            _mappings.Add(mapped);
            return mapped;
        }
    }

    /// <summary>
    /// Gives the lease back. First its mappings are disposed, so that this process is done with the memory before anybody else gets
    /// it. When the task completes, the memory can't be reached through the lease any more, nor through a copy of its descriptor.
    /// Releasing one that is over already, for whatever reason, is no error; nor is releasing it twice.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting. The lease is released all the same.</param>
    /// <exception cref="RpcException">
    /// The broker could not confirm it, such as INTERNAL with reason REVOKE_UNCONFIRMED: it then keeps the range to itself.
    /// </exception>
    public Task ReleaseAsync(CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            _release ??= Task.Run(ReleaseOnceAsync, CancellationToken.None);
            return _release.WaitAsync(cancellationToken);
        }
    }

    /// <summary><see cref="ReleaseAsync"/>, and quiet: what the broker could not confirm is in its log.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await ReleaseAsync();
        }
        catch (RpcException)
        {
            // There is nothing that a holder could do about it.
        }
    }

    /// <summary>For people: what it is a lease of.</summary>
    public override string ToString() => _info.ToString();

    /// <summary>The lease is over. The first reason stays.</summary>
    internal void End(LeaseEndReason reason, string message)
    {
        lock (_lock)
        {
            if (_endReason is not null)
            {
                return;
            }

            _endReason = reason;
            _endMessage = message;
            EndSuspension();
        }

        // Not Cancel: a callback of the application's must not hold up the word to other leases, nor throw into it.
        _ = _ended.CancelAsync();
    }

    private LeaseMapping MapMemory()
    {
        try
        {
            if (!LeaseMapping.IsRevoked(Descriptor, Length))
            {
                return LeaseMapping.Map(Descriptor, Ranges, Access);
            }
        }
        catch (UnixException exception) when (exception.Errno == NoDevice)
        {
            // Between the two calls.
        }

        throw new LeaseRevokedException(Id, $"It can't be mapped: {_info} is over, and its memory was taken back.");
    }

    private void Forget(MappedBar mapped)
    {
        lock (_lock)
        {
            _mappings.Remove(mapped);
        }
    }

    private async Task ReleaseOnceAsync()
    {
        // No mapping can be added any more: _release is set.
        MappedBar[] mappings;
        lock (_lock)
        {
            mappings = [.. _mappings];
        }

        foreach (MappedBar mapped in mappings)
        {
            mapped.Dispose();
        }

        LeaseEndReason reason = LeaseEndReason.Released;
        try
        {
            if (EndReason is null)
            {
                reason = await _releaseAtBroker(this);
            }
        }
        finally
        {
            Descriptor.Dispose();
            End(reason, reason == LeaseEndReason.Released ? "released by its holder" : "over when its holder released it");
        }
    }
}
