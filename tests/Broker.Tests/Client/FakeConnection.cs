using System.Collections.Concurrent;
using System.Threading.Channels;
using BarBroker.Client.Connection;
using BarBroker.Grpc;
using BarBroker.Unix;
using BarBroker.V1;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>A broker in memory that answers when the test says so.</summary>
internal sealed class FakeConnection : IBrokerConnection
{
    private readonly CancellationTokenSource _closed = new();
    private readonly ConcurrentDictionary<ulong, OwnedDescriptor> _memory = [];
    private Channel<WatchEvent> _events = Channel.CreateUnbounded<WatchEvent>();
    private ulong _lastSequence;

    public CancellationToken Closed => _closed.Token;

    /// <summary>How each Acquire is answered, once its lease exists.</summary>
    public Func<AcquireResponse, Task<AcquireResponse>> OnAcquire { get; set; } = Task.FromResult;

    public Func<ulong, Task> OnRelease { get; set; } = _ => Task.CompletedTask;

    public Func<InBandDescriptor, OwnedDescriptor>? OnClaim { get; set; }

    /// <summary>What the first event of each Watch is; null sends none.</summary>
    public Func<IEnumerable<Lease>>? Snapshot { get; set; } = () => [];

    public ConcurrentQueue<ulong> Released { get; } = [];

    public ConcurrentQueue<AcquireRequest> Requests { get; } = [];

    public ulong NextLease { get; set; } = 1;

    public int Watches { get; private set; }

    public int AcquiresUnderWay { get; private set; }

    public bool IsDisposed { get; private set; }

    public Task<ListDevicesResponse> ListDevicesAsync(CancellationToken cancellationToken) => Task.FromResult(Devices);

    public ListDevicesResponse Devices { get; set; } = new();

    public IDisposable BeginAcquire()
    {
        AcquiresUnderWay++;
        return new Scope(this);
    }

    public Task<AcquireResponse> AcquireAsync(AcquireRequest request)
    {
        Requests.Enqueue(request);
        ulong id = NextLease++;
        OwnedDescriptor memory = MemFd.Create("bar-broker-test");
        Files.Truncate(memory, 4096);
        _memory[id] = memory;
        Lease lease = new()
        {
            LeaseId = id,
            Device = request.Device,
            Window = request.Window,
            Bar = 2,
            Ranges = { new V1.Range { Offset = 0x1000, Length = 4096 } },
            Access = request.Access,
            Exclusive = true,
            MemoryType = V1.MemoryType.Cached,
        };
        return OnAcquire(new AcquireResponse { Lease = lease, InBand = new InBandDescriptor { FdSerial = id, Inode = Files.InodeOf(memory) } });
    }

    public ValueTask<OwnedDescriptor> ClaimAsync(InBandDescriptor descriptor) =>
        ValueTask.FromResult(OnClaim?.Invoke(descriptor) ?? Files.Reopen(_memory[descriptor.FdSerial], OpenFlags.ReadWrite));

    public Func<RenewRequest, Task<RenewResponse>> OnRenew { get; set; } = request => Task.FromResult(new RenewResponse { Lease = new Lease { LeaseId = request.LeaseId } });

    public Task<RenewResponse> RenewAsync(RenewRequest request) => OnRenew(request);

    public void SendEnding(ulong leaseId, DateTimeOffset time) => Send(new WatchEvent
    {
        LeaseEnding = new LeaseEnding { LeaseId = leaseId, Reason = EndReason.Revoked, EndTime = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTimeOffset(time), Message = "soon" },
    });

    public Task ReleaseAsync(ulong leaseId)
    {
        Released.Enqueue(leaseId);
        return OnRelease(leaseId);
    }

    public async IAsyncEnumerable<WatchEvent> WatchAsync()
    {
        Watches++;
        _lastSequence = 0;
        if (Snapshot is not null)
        {
            SendSnapshot([.. Snapshot()]);
        }

        await foreach (WatchEvent change in _events.Reader.ReadAllAsync())
        {
            yield return change;
        }
    }

    public void SendSnapshot(params Lease[] leases) => SendSnapshot(leases, []);

    public void SendSnapshot(Lease[] leases, params DeviceSuspended[] suspended) =>
        Send(new WatchEvent { Snapshot = new WatchSnapshot { Leases = { leases }, Suspended = { suspended } } });

    public void SendSuspended(string device, SuspendReason reason, string message) =>
        Send(new WatchEvent { DeviceSuspended = new DeviceSuspended { Device = device, Reason = reason, Message = message } });

    public void SendResumed(string device, bool reset) => Send(new WatchEvent { DeviceResumed = new DeviceResumed { Device = device, Reset = reset } });

    public void SendEnd(ulong leaseId, EndReason reason, string message = "because") =>
        Send(new WatchEvent { LeaseEnded = new LeaseEnded { LeaseId = leaseId, Reason = reason, Message = message } });

    /// <summary>An event is lost.</summary>
    public void SkipSequence() => _lastSequence++;

    /// <summary>Ends the Watch, and lets the next one begin.</summary>
    public void EndWatch(Exception? exception = null)
    {
        Channel<WatchEvent> old = _events;
        _events = Channel.CreateUnbounded<WatchEvent>();
        old.Writer.Complete(exception);
    }

    /// <summary>As the simulated device does it.</summary>
    public void TakeMemory(ulong leaseId) => Files.Truncate(_memory[leaseId], 0);

    /// <summary>What was sent before still arrives.</summary>
    public void Close()
    {
        _closed.Cancel();
        EndWatch(Failure(StatusCode.Unavailable));
    }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        Close();
        foreach (OwnedDescriptor memory in _memory.Values)
        {
            memory.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    public static RpcException Failure(StatusCode code) => new(new Status(code, "as the test wants it"));

    private void Send(WatchEvent change)
    {
        change.Sequence = ++_lastSequence;
        Assert.True(_events.Writer.TryWrite(change));
    }

    private sealed class Scope(FakeConnection connection) : IDisposable
    {
        public void Dispose() => connection.AcquiresUnderWay--;
    }
}
