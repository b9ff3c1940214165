using System.Threading.Channels;
using BarBroker.Client;
using BarBroker.Grpc;

namespace BarBroker.Probe;

/// <summary>The connections, leases and mappings of this process, by numbers that never come again.</summary>
internal sealed class Session : IAsyncDisposable
{
    private readonly Dictionary<int, BarBrokerClient> _connections = [];
    private readonly Dictionary<int, RedeemedTicket> _redeemed = [];
    private readonly Dictionary<int, BarLease> _leases = [];
    private readonly Dictionary<int, MappedBar> _mappings = [];
    private readonly Dictionary<int, ChannelReader<string>> _deviceNews = [];
    private readonly StressOperations _stress = new();
    private Traffic? _traffic;
    private int _lastNumber;

    /// <summary>Carries out one request. Whatever it throws is the answer.</summary>
    internal async Task<ProbeReply> AnswerAsync(ProbeRequest request)
    {
        try
        {
            return await PerformAsync(request);
        }
        catch (RpcException exception)
        {
            return Failed(exception, exception.Status.Detail, exception.StatusCode.ToString(), exception.GetReason());
        }
#pragma warning disable CA1031 // A probe reports every exception to the test, which knows which one is right.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return Failed(exception, exception.Message, status: null, reason: null);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _stress.Dispose();
        foreach (MappedBar mapping in _mappings.Values)
        {
            mapping.Dispose();
        }

        foreach (RedeemedTicket redeemed in _redeemed.Values)
        {
            redeemed.Dispose();
        }

        foreach (BarBrokerClient connection in _connections.Values)
        {
            await connection.DisposeAsync();
        }
    }

    private async Task<ProbeReply> PerformAsync(ProbeRequest request)
    {
        if (request.Stress is { } stress)
        {
            return await _stress.PerformAsync(request, stress);
        }

        switch (request.Operation)
        {
            case ProbeOperation.Connect:
                BarBrokerClient connection = await BarBrokerClient.ConnectAsync(request.Socket!, CancellationToken.None);
                return Number(Keep(_connections, connection));
            case ProbeOperation.Call:
                return new ProbeReply { Text = await AdminCalls.CallAsync(request.Socket!, request.Method!, request.Json!) };
            case ProbeOperation.Disconnect:
                _connections.Remove(request.Connection, out BarBrokerClient? closing);
                await closing!.DisposeAsync();
                return new ProbeReply();
            case ProbeOperation.ListDevices:
                return new ProbeReply { Text = Describe(await _connections[request.Connection].ListDevicesAsync(CancellationToken.None)) };
            case ProbeOperation.Acquire:
                return await AcquireAsync(request);
            case ProbeOperation.BeginTraffic:
                _traffic = await Traffic.BeginAsync(request);
                return new ProbeReply();
            case ProbeOperation.EndTraffic:
                await using (Traffic ending = _traffic!)
                {
                    _traffic = null;
                    return await ending.EndAsync();
                }

            case ProbeOperation.Redeem:
                RedeemedTicket ticket = await RedeemedTicket.RedeemAsync(request.Socket!, request.Secret!);
                return Number(Keep(_redeemed, ticket)) with { Text = ticket.Answer };
            case ProbeOperation.RedeemedInode:
                return new ProbeReply { Value = _redeemed[request.Connection].Inode };
            case ProbeOperation.RedeemedRead:
                return new ProbeReply { Value = _redeemed[request.Connection].Read32(request.Offset) };
            case ProbeOperation.AwaitRedeemedEnd:
                await _redeemed[request.Connection].WaitForEndAsync();
                return new ProbeReply();
            case ProbeOperation.CloseRedeemed:
                _redeemed[request.Connection].Dispose();
                return new ProbeReply();
            case ProbeOperation.CountDescriptors:
                return Number(Directory.GetFileSystemEntries("/proc/self/fd").Length);
            default:
                return await PerformAsync(request, _leases[request.Lease]);
        }
    }

    private async Task<ProbeReply> PerformAsync(ProbeRequest request, BarLease lease)
    {
        switch (request.Operation)
        {
            case ProbeOperation.Map:
                _mappings.Add(request.Lease, lease.Map());
                return new ProbeReply();
            case ProbeOperation.Read:
                return new ProbeReply { Value = Read(_mappings[request.Lease], request) };
            case ProbeOperation.Write:
                Write(_mappings[request.Lease], request);
                return new ProbeReply();
            case ProbeOperation.WriteAndFlush:
                Write(_mappings[request.Lease], request);
                _mappings[request.Lease].WriteFence();
                _mappings[request.Lease].FlushWrites(request.Offset);
                return new ProbeReply();
            case ProbeOperation.CountPages:
                return Number(CountPages(_mappings[request.Lease], request));
            case ProbeOperation.Release:
                await lease.ReleaseAsync(CancellationToken.None);
                return new ProbeReply();
            case ProbeOperation.AwaitEnd:
                await CancellationOf(lease.Ended);
                return new ProbeReply { Text = lease.EndReason.ToString() };
            case ProbeOperation.AwaitNotice:
                await CancellationOf(lease.EndAnnounced);
                return new ProbeReply { Text = lease.Notice!.Reason.ToString() };
            case ProbeOperation.NextDeviceNews:
                return new ProbeReply { Text = await _deviceNews[request.Lease].ReadAsync() };
            case ProbeOperation.RawMap:
                return Number(RawDescriptor.Map(lease.Descriptor, request.Offset, request.Length, request.Writable));
            case ProbeOperation.RawProtect:
                return Number(RawDescriptor.ProtectWritable(lease.Descriptor, lease.Length));
            case ProbeOperation.RawReopen:
                return Number(RawDescriptor.ReopenWritable(lease.Descriptor));
            case ProbeOperation.RawWrite:
                return Number(RawDescriptor.Write(lease.Descriptor, (uint)request.Value));
            case ProbeOperation.RawNumber:
                return Number(RawDescriptor.Number(lease.Descriptor));
            default:
                throw new NotSupportedException($"No such operation: {request.Operation}.");
        }
    }

    private static Task CancellationOf(CancellationToken token)
        => Task.Delay(Timeout.Infinite, token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);

    private async Task<ProbeReply> AcquireAsync(ProbeRequest request)
    {
        BarBrokerClient connection = _connections[request.Connection];
        AcquireOptions options = new() { Access = request.Writable ? LeaseAccess.ReadWrite : LeaseAccess.ReadOnly, P2P = request.P2P, LeaseTime = request.LeaseTime };
        ProbeRange[] ranges = request.Ranges ?? [new ProbeRange(request.Offset, request.Length)];
        BarLease lease = request.Window is { } window
            ? await connection.AcquireAsync(request.Device!, window, options, CancellationToken.None)
            : await connection.AcquireAsync(request.Device!, request.Bar, [.. ranges.Select(range => new BarRange(range.Offset, range.Length))], options, CancellationToken.None);
        ProbeLease properties = new(
            lease.Id,
            lease.Device,
            lease.Window,
            lease.Bar,
            lease.Offset,
            lease.Length,
            [.. lease.Ranges.Select(range => new ProbeRange(range.Offset, range.Length))],
            lease.Access.ToString(),
            lease.Exclusive,
            lease.MemoryType.ToString(),
            lease.P2P);
        int number = Keep(_leases, lease);
        _deviceNews.Add(number, FollowDevice(lease));
        return Number(number) with { Lease = properties };
    }

    private static ChannelReader<string> FollowDevice(BarLease lease)
    {
        Channel<string> news = Channel.CreateUnbounded<string>();
        lease.DeviceSuspended += (_, heard) => news.Writer.TryWrite($"suspended {heard.Suspension.Reason}");
        lease.DeviceResumed += (_, heard) => news.Writer.TryWrite(heard.WasReset ? "resumed after a reset" : "resumed");
        return news.Reader;
    }

    private static string Describe(IEnumerable<GrantedDevice> devices)
    {
        return string.Join('\n', devices.Select(device => $"{device.Name}: {string.Join(' ', device.Windows.Select(window => window.Name))}"));
    }

    private static ulong Read(MappedBar mapping, ProbeRequest request) => request.Width switch
    {
        8 => mapping.Read8(request.Offset),
        16 => mapping.Read16(request.Offset),
        32 => mapping.Read32(request.Offset),
        64 => mapping.Read64(request.Offset),
        _ => throw new NotSupportedException($"No access is {request.Width} bits wide."),
    };

    private static void Write(MappedBar mapping, ProbeRequest request)
    {
        switch (request.Width)
        {
            case 8:
                mapping.Write8(request.Offset, (byte)request.Value);
                break;
            case 16:
                mapping.Write16(request.Offset, (ushort)request.Value);
                break;
            case 32:
                mapping.Write32(request.Offset, (uint)request.Value);
                break;
            case 64:
                mapping.Write64(request.Offset, request.Value);
                break;
            default:
                throw new NotSupportedException($"No access is {request.Width} bits wide.");
        }
    }

    private static int CountPages(MappedBar mapping, ProbeRequest request)
    {
        int count = 0;
        for (ulong offset = request.Offset; offset < mapping.Length; offset += (ulong)Environment.SystemPageSize)
        {
            count += mapping.Read32(offset) == request.Value ? 1 : 0;
        }

        return count;
    }

    private int Keep<T>(Dictionary<int, T> things, T thing)
    {
        things.Add(++_lastNumber, thing);
        return _lastNumber;
    }

    private static ProbeReply Number(int value) => new() { Value = (ulong)value };

    private static ProbeReply Failed(Exception exception, string message, string? status, string? reason)
    {
        return new ProbeReply { Error = new ProbeError(exception.GetType().Name, message, status, reason) };
    }
}
