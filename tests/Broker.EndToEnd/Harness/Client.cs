using BarBroker.Probe;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.EndToEnd.Harness;

/// <summary>One connection of a probe.</summary>
internal sealed class Client(ProbeProcess probe, int connection) : IAsyncDisposable
{
    internal Task<ClientLease> AcquireAsync(string window, bool writable = true, string device = Machine.Board, bool p2p = false, TimeSpan? leaseTime = null)
    {
        return AcquireAsync(new ProbeRequest { Operation = ProbeOperation.Acquire, Device = device, Window = window, Writable = writable, P2P = p2p, LeaseTime = leaseTime });
    }

    internal Task<ClientLease> AcquireRangeAsync(ulong offset, ulong length, bool writable = true, int bar = Machine.BoardBar, string device = Machine.Board)
    {
        return AcquireAsync(new ProbeRequest
        {
            Operation = ProbeOperation.Acquire,
            Device = device,
            Bar = bar,
            Offset = offset,
            Length = length,
            Writable = writable,
        });
    }

    internal Task<ClientLease> AcquireRangesAsync(params (ulong Offset, ulong Length)[] ranges)
    {
        return AcquireAsync(new ProbeRequest
        {
            Operation = ProbeOperation.Acquire,
            Device = Machine.Board,
            Bar = Machine.BoardBar,
            Ranges = [.. ranges.Select(range => new ProbeRange(range.Offset, range.Length))],
            Writable = true,
        });
    }

    internal async Task<string> ListDevicesAsync()
    {
        return (await probe.AskAsync(new ProbeRequest { Operation = ProbeOperation.ListDevices, Connection = connection })).Text!;
    }

    public async ValueTask DisposeAsync()
    {
        await probe.AskAsync(new ProbeRequest { Operation = ProbeOperation.Disconnect, Connection = connection });
    }

    private async Task<ClientLease> AcquireAsync(ProbeRequest request)
    {
        ProbeReply reply = await probe.AskAsync(request with { Connection = connection });
        return new ClientLease(probe, (int)reply.Value, reply.Lease!);
    }
}

/// <summary>A lease that a probe holds.</summary>
internal sealed class ClientLease(ProbeProcess probe, int number, ProbeLease properties)
{
    internal ProbeLease Properties { get; } = properties;

    internal Task MapAsync() => AskAsync(ProbeOperation.Map);

    internal Task ReleaseAsync() => AskAsync(ProbeOperation.Release);

    internal async Task<ulong> ReadAsync(ulong offset, int width = 32)
    {
        return (await AskAsync(new ProbeRequest { Operation = ProbeOperation.Read, Offset = offset, Width = width })).Value;
    }

    internal Task WriteAsync(ulong offset, ulong value, int width = 32)
    {
        return AskAsync(new ProbeRequest { Operation = ProbeOperation.Write, Offset = offset, Width = width, Value = value });
    }

    /// <summary>Returns once the device has it.</summary>
    internal Task WriteAndFlushAsync(ulong offset, ulong value)
    {
        return AskAsync(new ProbeRequest { Operation = ProbeOperation.WriteAndFlush, Offset = offset, Width = 32, Value = value });
    }

    /// <summary>How many of its pages begin with the identification.</summary>
    internal async Task<int> CountIdentifiedPagesAsync()
    {
        return (int)(await AskAsync(new ProbeRequest { Operation = ProbeOperation.CountPages, Value = Machine.Identification })).Value;
    }

    /// <summary>The reason that the SDK was told.</summary>
    internal async Task<string> EndAsync() => (await AskAsync(ProbeOperation.AwaitEnd)).Text!;

    /// <summary>The reason for which it will end, once the SDK was told.</summary>
    internal async Task<string> NoticeAsync() => (await AskAsync(ProbeOperation.AwaitNotice)).Text!;

    /// <summary>The next that the SDK was told about the device: suspended, resumed.</summary>
    internal async Task<string> NextDeviceNewsAsync() => (await AskAsync(ProbeOperation.NextDeviceNews)).Text!;

    /// <summary>errno of mmap(2), 0 when it succeeds.</summary>
    internal async Task<int> RawMapAsync(ulong length, ulong offset = 0, bool writable = false)
    {
        return (int)(await AskAsync(new ProbeRequest { Operation = ProbeOperation.RawMap, Offset = offset, Length = length, Writable = writable })).Value;
    }

    /// <summary>errno of making a readable mapping writable.</summary>
    internal async Task<int> RawProtectAsync() => (int)(await AskAsync(ProbeOperation.RawProtect)).Value;

    /// <summary>errno of opening the descriptor again, writable.</summary>
    internal async Task<int> RawReopenAsync() => (int)(await AskAsync(ProbeOperation.RawReopen)).Value;

    /// <summary>errno of write(2).</summary>
    internal async Task<int> RawWriteAsync() => (int)(await AskAsync(ProbeOperation.RawWrite)).Value;

    /// <summary>Its descriptor, as the client would give it to a driver.</summary>
    internal async Task<SafeFileHandle> BorrowDescriptorAsync()
    {
        return BorrowedDescriptor.Of(probe.ProcessId, (int)(await AskAsync(ProbeOperation.RawNumber)).Value);
    }

    private Task<ProbeReply> AskAsync(ProbeOperation operation) => AskAsync(new ProbeRequest { Operation = operation });

    private Task<ProbeReply> AskAsync(ProbeRequest request) => probe.AskAsync(request with { Lease = number });
}
