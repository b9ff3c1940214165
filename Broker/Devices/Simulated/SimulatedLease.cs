using System.Collections.Immutable;
using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Simulated;

/// <summary>
/// The memory behind one lease: a memfd that can't grow, so that cutting it to nothing takes it from everybody for good.
/// </summary>
/// <remarks>
/// What keeps a holder from undoing anything: the mode is 0, so /proc/self/fd can't be opened with more access, and only
/// the broker's user could change it back; SEAL keeps a holder from sealing the size against the broker's truncation;
/// GROW keeps it from coming back afterwards. A read-only lease is opened for reading only and sealed against writing besides, which
/// holds even for processes of the broker's own user. The holder of a read-write lease can cut or punch holes into its own
/// memory, and thereby end its own lease early. No seal forbids that and leaves the broker its truncation: it harms nobody else.
/// </remarks>
internal sealed class SimulatedLease : IDisposable
{
    private const int ChunkPages = 16;

    private readonly OwnedDescriptor _memory;
    private Task? _ending;

    private SimulatedLease(OwnedDescriptor memory)
    {
        _memory = memory;
    }

    public bool HasEnded => _ending is { IsCompletedSuccessfully: true };

    /// <summary>Makes the memory and the descriptor that its holder gets.</summary>
    public static SimulatedLease Create(string device, ImmutableArray<BarRange> ranges, LeaseAccess access, out OwnedDescriptor forHolder)
    {
        bool readOnly = access == LeaseAccess.ReadOnly;
        OwnedDescriptor memory = MemFd.Create($"bar-broker:{device}");
        try
        {
            Fill(memory, ranges);

            // A description of its own: a dup would let its holder change the flags of the broker's. It must come before
            // the mode goes, which binds a broker without privileges too.
            forHolder = Files.Reopen(memory, readOnly ? OpenFlags.ReadOnly : OpenFlags.ReadWrite);
        }
        catch
        {
            memory.Dispose();
            throw;
        }

        try
        {
            Files.SetMode(memory, UnixFileMode.None);
            MemFd.AddSeals(memory, Seals.Grow | Seals.Seal | (readOnly ? Seals.FutureWrite : Seals.None));
            return new SimulatedLease(memory);
        }
        catch
        {
            forHolder.Dispose();
            memory.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes the memory away. On a thread of its own, because a hostile holder can block it; called again, it joins the attempt that
    /// is under way, or repeats a failed one. Not to be called by two threads at once.
    /// </summary>
    public Task EndAsync(Action<OwnedDescriptor> truncate)
    {
        if (_ending is null or { IsFaulted: true })
        {
            _ending = Begin(() => truncate(_memory));
        }

        return _ending;
    }

    /// <summary>A thread that can't be had is a failure of this lease's end alone, which is tried again as any other.</summary>
    private static Task Begin(Action end)
    {
        try
        {
            return Task.Factory.StartNew(end, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        catch (OutOfMemoryException exception)
        {
            return Task.FromException(new IOException("There is no thread to end the lease on.", exception));
        }
    }

    public void Dispose() => _memory.Dispose();

    private static void Fill(OwnedDescriptor memory, ImmutableArray<BarRange> ranges)
    {
        Files.Truncate(memory, ranges.Aggregate(0UL, (sum, range) => checked(sum + range.Length)));
        byte[] chunk = new byte[ChunkPages * (int)BarRange.PageSize];
        ulong position = 0;
        foreach (BarRange range in ranges)
        {
            for (ulong offset = range.Offset; offset < range.End; offset += (ulong)chunk.Length)
            {
                int length = (int)Math.Min((ulong)chunk.Length, range.End - offset);
                Span<byte> pages = chunk.AsSpan(0, length);
                for (int page = 0; page < length; page += (int)BarRange.PageSize)
                {
                    uint number = (uint)((offset + (ulong)page) / BarRange.PageSize);
                    MemoryMarshal.Write(pages[page..], SimulatedBarDevice.Identification);
                    MemoryMarshal.Write(pages[(page + 4)..], number);
                }

                Files.WriteAt(memory, pages, position);
                position += (ulong)length;
            }
        }
    }
}
