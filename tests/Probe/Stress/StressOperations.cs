using BarBroker.Client;

namespace BarBroker.Probe;

/// <summary>What a probe does to stress the way of descriptors.</summary>
internal sealed class StressOperations : IDisposable
{
    /// <summary>A socket that has that much unread is full, whatever the kernel's default size of a buffer (net.core.wmem_default).</summary>
    private const int FullSocket = 64 * 1024;

    private readonly List<RawConnection> _stopped = [];
    private Task? _forever;

    internal Task<ProbeReply> PerformAsync(ProbeRequest request, ProbeStress stress) => request.Operation switch
    {
        ProbeOperation.StressAcquire => AcquireAsync(request, stress),
        ProbeOperation.StressForever => AcquireForeverAsync(request, stress),
        ProbeOperation.StressByteByByte => ReadByteByByteAsync(request, stress),
        ProbeOperation.StressFullTable => FillTableAsync(request, stress),
        ProbeOperation.StressStopReading => Task.FromResult(StopReading(request, stress)),
        ProbeOperation.StressReadOn => ReadOnAsync(),
        ProbeOperation.StressHangUp => Task.FromResult(HangUp()),
        _ => throw new NotSupportedException($"No such operation: {request.Operation}."),
    };

    public void Dispose() => HangUp();

    private static async Task<ProbeReply> AcquireAsync(ProbeRequest request, ProbeStress stress)
    {
        AcquireLoad[] loads = await Task.WhenAll(Enumerable.Range(0, stress.Connections).Select(number => AcquireLoad.ConnectAsync(request, stress, number)));

        // Whoever is refused comes again, and is to find the pages free.
        await Task.WhenAll(loads.Select(load => load.RunAsync(stress.Rounds, keepLast: stress.Tolerated is null)));
        await Task.WhenAll(loads.Select(load => load.DisposeAsync().AsTask()));
        ThrowIfDescriptorsAreLeft();
        int refused = loads.Sum(load => load.Refused);
        return new ProbeReply
        {
            Value = (ulong)loads.Sum(load => load.Checked),
            Text = $"{refused} refused, {loads.Sum(load => load.StreamedBytes)} bytes of large replies",
        };
    }

    private async Task<ProbeReply> AcquireForeverAsync(ProbeRequest request, ProbeStress stress)
    {
        AcquireLoad[] loads = await Task.WhenAll(Enumerable.Range(0, stress.Connections).Select(number => AcquireLoad.ConnectAsync(request, stress, number)));

        await Task.WhenAll(loads.Select(load => load.RunAsync(rounds: 1, keepLast: false)));
        _forever = Task.WhenAll(loads.Select(load => load.RunAsync(int.MaxValue, keepLast: false)));
        return new ProbeReply { Value = (ulong)loads.Sum(load => load.Checked) };
    }

    private static async Task<ProbeReply> ReadByteByByteAsync(ProbeRequest request, ProbeStress stress)
    {
        using RawConnection connection = new(request.Socket!);
        AddCalls(connection, request, stress, request.Offset);
        connection.Flush();
        await connection.ReadAllAsync(size: 1);
        List<CheckedPage> pages = connection.TakePages();
        pages.ForEach(page => page.Check());
        pages.ForEach(page => page.Dispose());
        return connection.MostWaiting >= FullSocket
            ? new ProbeReply { Value = (ulong)pages.Count, Text = $"up to {connection.MostWaiting} bytes waited" }
            : throw new InvalidDataException($"No more than {connection.MostWaiting} bytes waited at a time: the socket was never full.");
    }

    private static async Task<ProbeReply> FillTableAsync(ProbeRequest request, ProbeStress stress)
    {
        await using BarBrokerClient client = await BarBrokerClient.ConnectAsync(request.Socket!, CancellationToken.None);

        // What the runtime needs to do all this, and to fail, it must not have to open when it can't.
        await DisposeAsync(await Task.WhenAll(BeginAcquires()));
        await Task.FromException(new DescriptorLostException("for practice")).ContinueWith(static lost => lost.Exception!.ToString(), TaskScheduler.Default);
        List<BarLease> leases = [];
        int lost = 0;
        using (new FullTable((int)request.Value))
        {
            foreach (Task<BarLease> acquiring in BeginAcquires())
            {
                try
                {
                    leases.Add(await acquiring);
                }
                catch (DescriptorLostException exception) when (exception.Message.Contains("table of open files is full", StringComparison.Ordinal))
                {
                    lost++;
                }
            }
        }

        // The connection is as good as ever. What was lost has been given back.
        await DisposeAsync(leases);
        BarLease[] all = await Task.WhenAll(BeginAcquires());
        return all.Length == stress.Calls
            ? new ProbeReply { Value = (ulong)lost, Text = $"{leases.Count} taken" }
            : throw new InvalidDataException($"{all.Length} leases of {stress.Calls}.");

        Task<BarLease>[] BeginAcquires() =>
        [
            .. Enumerable.Range(0, stress.Calls).Select(call => client.AcquireAsync(
                request.Device!, request.Bar, request.Offset + ((ulong)call * CheckedPage.Size), CheckedPage.Size, LeaseAccess.ReadWrite, CancellationToken.None)),
        ];
    }

    private static async Task DisposeAsync(IEnumerable<BarLease> leases)
    {
        foreach (BarLease lease in leases)
        {
            await lease.DisposeAsync();
        }
    }

    private ProbeReply StopReading(ProbeRequest request, ProbeStress stress)
    {
        for (int number = 0; number < stress.Connections; number++)
        {
            RawConnection connection = new(request.Socket!);
            _stopped.Add(connection);
            AddCalls(connection, request, stress, request.Offset + ((ulong)(number * stress.Calls) * CheckedPage.Size));
            connection.Flush();
        }

        return new ProbeReply();
    }

    private async Task<ProbeReply> ReadOnAsync()
    {
        int count = 0;
        List<string> refusals = [];
        foreach (RawConnection connection in _stopped)
        {
            await connection.ReadAllAsync(size: 4096);
            List<CheckedPage> pages = connection.TakePages();
            pages.ForEach(page => page.Check());
            pages.ForEach(page => page.Dispose());
            count += pages.Count;
            refusals.AddRange(connection.Refusals);
        }

        HangUp();
        return new ProbeReply { Value = (ulong)count, Text = string.Join('\n', refusals) };
    }

    private ProbeReply HangUp()
    {
        _stopped.ForEach(connection => connection.Dispose());
        _stopped.Clear();
        return new ProbeReply();
    }

    /// <summary>In turns, as far as there are calls of either kind.</summary>
    private static void AddCalls(RawConnection connection, ProbeRequest request, ProbeStress stress, ulong offset)
    {
        for (int call = 0; call < Math.Max(stress.Calls, stress.Streams); call++)
        {
            if (call < stress.Streams)
            {
                connection.AddLargeReply();
            }

            if (call < stress.Calls)
            {
                connection.AddAcquire(request, offset + ((ulong)call * CheckedPage.Size));
            }
        }
    }

    private static void ThrowIfDescriptorsAreLeft()
    {
        int left = Directory.GetFiles("/proc/self/fd").Count(path => new FileInfo(path).LinkTarget is { } target && target.Contains("bar-broker:", StringComparison.Ordinal));
        if (left > 0)
        {
            throw new InvalidDataException($"{left} descriptors of leases are open, and nobody here has them.");
        }
    }
}
