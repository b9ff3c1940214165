using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using BarBroker.Unix;
using BarBroker.V1;

namespace BarBroker.Probe;

/// <summary>
/// A page that was leased, mapped, and proven to be the one that was asked for: the device wrote its number into it. It holds a value that no
/// other page has, so that two that are one give themselves away.
/// </summary>
internal sealed class CheckedPage : IDisposable
{
    /// <summary>Bytes in the page: where the device has the page's number in the BAR, and where nobody has anything.</summary>
    private const int NumberRegister = 4;

    private const int Scratch = 0x400;

    /// <summary>Of all pages that this process has now, with the lease of each.</summary>
    private static readonly ConcurrentDictionary<ulong, ulong> Inodes = new();

    private static long LastMark;

    private readonly MemoryMapping _mapping;
    private readonly ulong _inode;
    private readonly long _mark = Interlocked.Increment(ref LastMark);

    private CheckedPage(MemoryMapping mapping, ulong inode, ulong lease)
    {
        _mapping = mapping;
        _inode = inode;
        Lease = lease;
        Marshal.WriteInt64(mapping.Address, Scratch, _mark);
    }

    /// <summary>The broker's number of its lease.</summary>
    internal ulong Lease { get; }

    /// <summary>Bytes of a page, and of each lease.</summary>
    internal static ulong Size => (ulong)Environment.SystemPageSize;

    /// <summary>What to ask for, to get the page at <paramref name="offset"/>.</summary>
    internal static AcquireRequest Request(ProbeRequest request, ulong offset) => new()
    {
        Device = request.Device,
        Ranges = new BarRanges { Bar = (uint)request.Bar, Ranges = { new BarBroker.V1.Range { Offset = offset, Length = Size } } },
        Access = Access.ReadWrite,
        Delivery = Delivery.InBand,
    };

    /// <summary>Takes over <paramref name="descriptor"/>, which came for <paramref name="reply"/>, and checks it.</summary>
    /// <exception cref="InvalidDataException">It is another page than the one at <paramref name="offset"/>, or one that somebody has.</exception>
    internal static CheckedPage Take(OwnedDescriptor descriptor, AcquireResponse reply, ulong offset)
    {
        using OwnedDescriptor taken = descriptor;
        ulong inode = Files.InodeOf(taken);
        if (inode != reply.InBand.Inode)
        {
            throw new InvalidDataException($"Lease {reply.Lease.LeaseId}: descriptor {reply.InBand.FdSerial} has inode {inode}, and the reply says {reply.InBand.Inode}.");
        }

        if (!Inodes.TryAdd(inode, reply.Lease.LeaseId))
        {
            throw new InvalidDataException($"Leases {Inodes[inode]} and {reply.Lease.LeaseId} both got inode {inode}.");
        }

        MemoryMapping mapping = MemoryMapping.Map(taken, 0, Size, Protection.Read | Protection.Write);
        ulong number = (uint)Marshal.ReadInt32(mapping.Address, NumberRegister);
        return number == offset / Size
            ? new CheckedPage(mapping, inode, reply.Lease.LeaseId)
            : throw new InvalidDataException($"Lease {reply.Lease.LeaseId} is of page {offset / Size}, and its descriptor shows page {number}.");
    }

    /// <summary>Looks again, after all others were written to.</summary>
    /// <exception cref="InvalidDataException">It is not what was left there.</exception>
    internal void Check()
    {
        long found = Marshal.ReadInt64(_mapping.Address, Scratch);
        if (found != _mark)
        {
            throw new InvalidDataException($"Lease {Lease} was given {_mark} and reads {found}: it shares its memory with another.");
        }
    }

    public void Dispose()
    {
        _mapping.Dispose();
        Inodes.TryRemove(_inode, out _);
    }
}
