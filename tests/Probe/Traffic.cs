using BarBroker.Client;
using BarBroker.Grpc;

namespace BarBroker.Probe;

/// <summary>
/// A client that is always in the middle of something: it takes leases of random pages of its range, uses them and gives them back, until the
/// broker is gone. Whatever happens to it then or before that a client should not see ends it with an exception.
/// </summary>
internal sealed class Traffic : IAsyncDisposable
{
    private const int MostLeases = 6;
    private const ulong MostPages = 4;
    private const int MostPause = 5;

    /// <summary>ENODEV.</summary>
    private const int NoDevice = 19;

    /// <summary>In a page; no scenario has anything there.</summary>
    private const ulong Scratch = 0x400;

    private static readonly ulong Page = (ulong)Environment.SystemPageSize;

    private readonly ProbeRequest _request;
    private readonly BarBrokerClient _client;
    private readonly Random _random;
    private readonly List<Held> _held = [];

    /// <summary>Revoked, and kept until the end: what is over stays so, whatever becomes of the broker.</summary>
    private readonly List<Held> _lost = [];

    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _run;
    private int _acquired;
    private int _refused;

    private Traffic(ProbeRequest request, BarBrokerClient client)
    {
        _request = request;
        _client = client;
        _random = new Random((int)request.Value);
        _run = Task.Run(RunAsync);
    }

    internal static async Task<Traffic> BeginAsync(ProbeRequest request)
    {
        Traffic traffic = new(request, await BarBrokerClient.ConnectAsync(request.Socket!, CancellationToken.None));
        await await Task.WhenAny(traffic._first.Task, traffic._run);
        return traffic;
    }

    internal async Task<ProbeReply> EndAsync()
    {
        await _run;
        foreach (Held held in _held.Concat(_lost))
        {
            ThrowIfReachable(held);
            await UntilEndedAsync(held.Lease);
        }

        return new ProbeReply
        {
            Value = (ulong)_held.Count,
            Text = $"{_acquired} leases acquired, {_refused} refused, {_lost.Count} revoked, {_held.Count} held at the end",
        };
    }

    public async ValueTask DisposeAsync()
    {
        // The client forgets leases that are over; their descriptors and mappings are whoever's has them.
        foreach (Held held in _held.Concat(_lost))
        {
            await held.Lease.DisposeAsync();
        }

        await _client.DisposeAsync();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                // The others of this machine's one processor want it, too.
                await Task.Delay(_random.Next(MostPause));
                switch (_random.Next(4))
                {
                    case 0 when _held.Count > 0:
                        await ReleaseAsync(Any());
                        break;
                    case 1 when _held.Count < MostLeases:
                    case 2 when _held.Count < MostLeases:
                        await AcquireAsync();
                        break;
                    case 3 when _held.Count > 0:
                        await UseUnlessOverAsync(Any());
                        break;
                }
            }
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable && exception.GetReason() is null)
        {
            // The broker is gone.
        }
    }

    private async Task AcquireAsync()
    {
        ulong pages = (ulong)_random.NextInt64(1, (long)Math.Min(MostPages, _request.Length / Page) + 1);
        ulong first = (ulong)_random.NextInt64(0, (long)((_request.Length / Page) - pages) + 1);
        AcquireOptions options = new() { Access = _request.Writable ? LeaseAccess.ReadWrite : LeaseAccess.ReadOnly };
        try
        {
            BarLease lease = await _client.AcquireAsync(
                _request.Device!, _request.Bar, [new BarRange(_request.Offset + (first * Page), pages * Page)], options, CancellationToken.None);
            _acquired++;
            _first.TrySetResult();
            Held held = new(lease);
            _held.Add(held);
            await UseUnlessOverAsync(held);
        }
        catch (RpcException exception) when (exception.GetReason() is "RANGE_LEASED" or "LEASE_REVOKED")
        {
            _refused++;
        }
    }

    private async Task ReleaseAsync(Held held)
    {
        await held.Lease.ReleaseAsync(CancellationToken.None);
        _held.Remove(held);
    }

    private async Task UseUnlessOverAsync(Held held)
    {
        try
        {
            Use(held);
        }
        catch (DeviceSuspendedException)
        {
            // The kernel closes what a killed broker had one after the other: VFIO's descriptors may come before those that its leases
            // end with. Nobody suspends the devices meanwhile, so anything but an end is waited for in vain.
            await UntilEndedAsync(held.Lease);
        }
        catch (LeaseRevokedException)
        {
            _held.Remove(held);
            _lost.Add(held);
        }
    }

    /// <summary>Nobody else has these pages: what it writes is what it reads.</summary>
    private void Use(Held held)
    {
        held.Mapping ??= held.Lease.Map();
        ulong offset = (ulong)_random.NextInt64(0, (long)(held.Lease.Length / Page)) * Page;
        if (!_request.Writable)
        {
            _ = held.Mapping.Read32(offset);
            return;
        }

        uint value = (uint)_random.Next();
        held.Mapping.Write32(offset + Scratch, value);
        uint found = held.Mapping.Read32(offset + Scratch);
        if (found != value)
        {
            throw new InvalidOperationException($"{held.Lease} has {found:x} where {value:x} was written: somebody else writes to it.");
        }
    }

    private static void ThrowIfReachable(Held held)
    {
        try
        {
            // Without a mapping the broker's end came before there was one.
            held.Mapping ??= held.Lease.Map();
            uint found = held.Mapping.Read32(0);
            throw new InvalidOperationException($"{held.Lease} is over, and still reads {found:x}.");
        }
        catch (LeaseRevokedException)
        {
        }

        int errno = RawDescriptor.Map(held.Lease.Descriptor, 0, Page, writable: false);
        if (errno != NoDevice)
        {
            throw new InvalidOperationException($"{held.Lease} is over, and mapping it ends with errno {errno}.");
        }
    }

    private static async Task UntilEndedAsync(BarLease lease) =>
        await Task.Delay(Timeout.Infinite, lease.Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private Held Any() => _held[_random.Next(_held.Count)];

    private sealed class Held(BarLease lease)
    {
        internal BarLease Lease { get; } = lease;

        internal MappedBar? Mapping { get; set; }
    }
}
