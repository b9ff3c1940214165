using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Probe;

/// <summary>One connection on which Acquires run in rounds, many at a time, beside streams of large replies.</summary>
internal sealed class AcquireLoad : IAsyncDisposable
{
    private readonly ProbeRequest _request;
    private readonly ProbeStress _stress;
    private readonly ulong _offset;
    private readonly UnixGrpcChannel _channel;
    private readonly StreamLoad[] _streams;

    private AcquireLoad(ProbeRequest request, ProbeStress stress, int connection, UnixGrpcChannel channel)
    {
        _request = request;
        _stress = stress;
        _offset = request.Offset + ((ulong)(connection * stress.Calls) * CheckedPage.Size);
        _channel = channel;
        _streams = [.. Enumerable.Range(0, stress.Streams).Select(_ => StreamLoad.Begin(channel))];
    }

    /// <summary>Acquires whose page was checked.</summary>
    internal int Checked { get; private set; }

    /// <summary>Acquires that failed as they may.</summary>
    internal int Refused { get; private set; }

    /// <summary>Bytes of large replies.</summary>
    internal long StreamedBytes => _streams.Sum(stream => stream.Bytes);

    /// <param name="request">Where, and what.</param>
    /// <param name="stress">How much.</param>
    /// <param name="connection">Its number, from 0, which decides on its pages.</param>
    internal static async Task<AcquireLoad> ConnectAsync(ProbeRequest request, ProbeStress stress, int connection) =>
        new(request, stress, connection, await UnixGrpcChannel.ConnectAsync(request.Socket!, CancellationToken.None));

    /// <summary>Acquires all pages of this connection at once, looks at them while it has them all, and gives them back; again and again.</summary>
    /// <param name="rounds">How often.</param>
    /// <param name="keepLast">Leaves the last round's leases to the end of the connection.</param>
    internal async Task RunAsync(int rounds, bool keepLast)
    {
        for (int round = 1; round <= rounds; round++)
        {
            CheckedPage?[] pages = await Task.WhenAll(Enumerable.Range(0, _stress.Calls).Select(call => AcquireAsync(_offset + ((ulong)call * CheckedPage.Size))));
            foreach (CheckedPage? page in pages)
            {
                page?.Check();
            }

            await Task.WhenAll(pages.OfType<CheckedPage>().Select(page => EndAsync(page, release: !keepLast || round < rounds)));
            Checked += pages.Count(page => page is not null);
            Refused += pages.Count(page => page is null);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (StreamLoad stream in _streams)
        {
            await stream.EndAsync();
        }

        await _channel.DisposeAsync();
    }

    private async Task<CheckedPage?> AcquireAsync(ulong offset)
    {
        try
        {
            using DescriptorInbox.AcquireScope scope = _channel.Descriptors.BeginAcquire();
            AcquireResponse reply = await _channel.UnaryAsync<AcquireRequest, AcquireResponse>("/barbroker.v1.Broker/Acquire", CheckedPage.Request(_request, offset), default);
            OwnedDescriptor descriptor = await _channel.Descriptors.ClaimAsync(reply.InBand.FdSerial, reply.InBand.Inode, CancellationToken.None);
            return CheckedPage.Take(descriptor, reply, offset);
        }
        catch (RpcException exception) when (_stress.Tolerated is { } tolerated && exception.GetReason() == tolerated)
        {
            return null;
        }
    }

    private async Task EndAsync(CheckedPage page, bool release)
    {
        page.Dispose();
        if (release)
        {
            await _channel.UnaryAsync<ReleaseRequest, ReleaseResponse>("/barbroker.v1.Broker/Release", new ReleaseRequest { LeaseId = page.Lease }, default);
        }
    }
}
