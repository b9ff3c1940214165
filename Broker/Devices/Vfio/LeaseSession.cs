using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// A session of the bar_lease kernel module: it owns leases by their ids, and its end revokes all of them.
/// Calls block the thread while the kernel works; they may come from several threads.
/// </summary>
internal interface ILeaseSession
{
    /// <summary>How many ranges one lease may have.</summary>
    int MaxRanges { get; }

    /// <summary>The types that an export may ask for: bit N stands for BAR_LEASE_MEMORY_* of value N.</summary>
    uint MemoryTypes { get; }

    /// <summary>Makes a lease of what <paramref name="dmabuf"/> (vfio-pci's, of exactly these ranges) covers. <paramref name="dmabuf"/> stays the caller's.</summary>
    /// <exception cref="UnixException">No lease was made; the header says which errno means what.</exception>
    SessionLease Export(LeaseId id, uint holder, PciAddress address, ImmutableArray<BarRange> ranges, ExportOptions options, OwnedDescriptor dmabuf);

    /// <summary>Ends leases for good. Ids that are not live are no error.</summary>
    /// <returns>How many this call ended.</returns>
    /// <exception cref="UnixException">ETIMEDOUT: they are marked, but it is not confirmed. Else nothing, or not all of them, was revoked.</exception>
    int Revoke(ReadOnlySpan<LeaseId> ids);

    /// <summary>The session's leases, in order of their ids: those that are live, and those that are marked while their end is not confirmed.</summary>
    /// <exception cref="UnixException">The kernel has no memory for it.</exception>
    /// <exception cref="InvalidDataException">What it listed can't be.</exception>
    ImmutableArray<ListedLease> List();
}

/// <summary>A lease that the session made: its descriptor, and what really applies.</summary>
/// <param name="Descriptor">The caller owns it.</param>
/// <param name="MemoryType">What a mapping gets, as BAR_LEASE_MEMORY_*.</param>
/// <param name="Verified">The module saw that the DMABUF backs exactly these bus addresses; else it could only check sizes.</param>
internal sealed record SessionLease(OwnedDescriptor Descriptor, uint MemoryType, bool Verified);

/// <summary>A lease as the kernel lists it.</summary>
internal sealed record ListedLease(LeaseId Id, PciAddress Address, ImmutableArray<BarRange> Ranges, ExportOptions Options, ListedLeaseState State);

/// <summary>BAR_LEASE_STATE_*</summary>
internal enum ListedLeaseState
{
    Live = (int)BarLeaseUapi.StateLive,
    Suspended = (int)BarLeaseUapi.StateSuspended,
    Revoking = (int)BarLeaseUapi.StateRevoking,
}

/// <inheritdoc cref="ILeaseSession"/>
internal sealed class LeaseSession : ILeaseSession, IDisposable
{
    public const string NodePath = "/dev/bar_lease";

    private readonly OwnedDescriptor _session;
    private readonly int _maxIds;

    private LeaseSession(OwnedDescriptor session, BarLeaseInfo info)
    {
        _session = session;
        _maxIds = (int)Math.Clamp(info.MaxIds, 1, BarLeaseUapi.MaxIds);
        MaxRanges = (int)Math.Min(info.MaxRanges, int.MaxValue);
        MemoryTypes = info.MemoryTypes;
    }

    /// <inheritdoc/>
    public int MaxRanges { get; }

    /// <inheritdoc/>
    public uint MemoryTypes { get; }

    /// <summary>Opens a new session.</summary>
    /// <exception cref="DeviceOpenException">The module is missing, out of reach or too old; the message says what to do.</exception>
    public static LeaseSession Open(string path = NodePath)
    {
        OwnedDescriptor session;
        try
        {
            session = Files.Open(path, OpenFlags.ReadWrite);
        }
        catch (UnixException exception)
        {
            throw new DeviceOpenException(OpenCure(path, exception), exception);
        }

        try
        {
            BarLeaseInfo info = GetInfo(session);
            return FindObstacle(info) is { } obstacle ? throw new DeviceOpenException(obstacle) : new LeaseSession(session, info);
        }
        catch (UnixException exception)
        {
            session.Dispose();
            throw new DeviceOpenException($"{path} does not answer as the bar_lease module ({exception.Message}): install the module that came with this broker and reload it.", exception);
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    /// <summary>Why the loaded module won't do, with the cure; null when it will.</summary>
    internal static string? FindObstacle(BarLeaseInfo info)
    {
        if (info.ApiVersion < BarLeaseUapi.ApiVersion)
        {
            return $"The bar_lease module has API version {info.ApiVersion}, this broker needs {BarLeaseUapi.ApiVersion}: install the module that came with it and reload it.";
        }

        return info.MaxRanges > 0 && info.MaxIds > 0 && (info.MemoryTypes & (1u << (int)BarLeaseUapi.MemoryUncached)) != 0
            ? null
            : "The bar_lease module was built without what leases take (uncached memory, one range, one id a call): install the module that came with this broker and reload it.";
    }

    /// <summary>What the module can do, and this session's counters.</summary>
    public BarLeaseInfo GetInfo() => GetInfo(_session);

    /// <inheritdoc/>
    public unsafe SessionLease Export(LeaseId id, uint holder, PciAddress address, ImmutableArray<BarRange> ranges, ExportOptions options, OwnedDescriptor dmabuf)
    {
        BarLeaseRange[] list = [.. ranges.Select(range => new BarLeaseRange { Offset = range.Offset, Length = range.Length })];
        bool held = false;
        try
        {
            dmabuf.DangerousAddRef(ref held);
            fixed (BarLeaseRange* pointer = list)
            {
                BarLeaseExport export = new()
                {
                    Argsz = (uint)sizeof(BarLeaseExport),
                    Flags = (options.Access == LeaseAccess.ReadOnly ? BarLeaseUapi.ExportReadOnly : 0) | (options.P2P ? BarLeaseUapi.ExportP2p : 0),
                    LeaseId = id.Value,
                    PciDomain = address.Domain,
                    PciBus = address.Bus,
                    PciDevfn = address.DevFn,
                    Bar = (uint)ranges[0].Bar,
                    DmabufFd = (int)dmabuf.DangerousGetHandle(),
                    MemoryType = BarLeaseUapi.FromMemoryType(options.MemoryType),
                    NrRanges = (uint)list.Length,
                    Ranges = (ulong)pointer,
                    Holder = holder,
                };
                int descriptor = Ioctl.Call(_session, BarLeaseUapi.Export, ref export, "BAR_LEASE_EXPORT");
                return new SessionLease(new OwnedDescriptor(descriptor), export.MemoryType, export.Verified == 1);
            }
        }
        finally
        {
            if (held)
            {
                dmabuf.DangerousRelease();
            }
        }
    }

    /// <inheritdoc/>
    public int Revoke(ReadOnlySpan<LeaseId> ids)
    {
        int revoked = 0;
        UnixException? failure = null;
        while (!ids.IsEmpty)
        {
            ReadOnlySpan<LeaseId> batch = ids[..Math.Min(ids.Length, _maxIds)];
            ids = ids[batch.Length..];
            try
            {
                revoked += RevokeBatch(batch);
            }
            catch (UnixException exception)
            {
                // The others end all the same.
                failure = exception;
            }
        }

        return failure is null ? revoked : throw failure;
    }

    /// <inheritdoc/>
    public unsafe ImmutableArray<ListedLease> List()
    {
        BarLeaseEntry[] entries = [];
        BarLeaseRange[] ranges = [];
        while (true)
        {
            BarLeaseList list = new()
            {
                Argsz = (uint)sizeof(BarLeaseList),
                NrLeases = (uint)entries.Length,
                NrRanges = (uint)ranges.Length,
            };
            try
            {
                fixed (BarLeaseEntry* entryPointer = entries)
                fixed (BarLeaseRange* rangePointer = ranges)
                {
                    list.Leases = (ulong)entryPointer;
                    list.Ranges = (ulong)rangePointer;
                    Ioctl.Call(_session, BarLeaseUapi.List, ref list, "BAR_LEASE_LIST");
                }

                return [.. entries.Take((int)list.NrLeases).Select(entry => ToListedLease(entry, ranges))];
            }
            catch (UnixException exception) when (exception.Errno == Errno.NoSpace)
            {
                // It said how much it takes; there may be more by the time of the next call.
                entries = new BarLeaseEntry[list.NrLeases];
                ranges = new BarLeaseRange[list.NrRanges];
            }
        }
    }

    /// <summary>Another descriptor of a live lease; the caller owns it.</summary>
    /// <exception cref="UnixException">ENOENT when the lease is not live.</exception>
    public unsafe OwnedDescriptor GetDescriptor(LeaseId id)
    {
        BarLeaseGetFd argument = new() { Argsz = (uint)sizeof(BarLeaseGetFd), LeaseId = id.Value };
        return new OwnedDescriptor(Ioctl.Call(_session, BarLeaseUapi.GetFd, ref argument, "BAR_LEASE_GET_FD"));
    }

    public void Dispose() => _session.Dispose();

    internal static ListedLease ToListedLease(BarLeaseEntry entry, ReadOnlySpan<BarLeaseRange> ranges)
    {
        PciAddress address = new(entry.PciDomain, (byte)entry.PciBus, (byte)(entry.PciDevfn >> 3), (byte)(entry.PciDevfn & 7));
        ImmutableArray<BarRange>.Builder own = ImmutableArray.CreateBuilder<BarRange>((int)entry.NrRanges);
        foreach (BarLeaseRange range in ranges.Slice((int)entry.FirstRange, (int)entry.NrRanges))
        {
            RangeError error = BarRange.TryCreate(entry.Bar, range.Offset, range.Length, out BarRange parsed);
            own.Add(error == RangeError.None ? parsed : throw new InvalidDataException($"The kernel listed lease {entry.LeaseId} with a range that can't be ({error})."));
        }

        LeaseAccess access = (entry.Flags & BarLeaseUapi.ExportReadOnly) != 0 ? LeaseAccess.ReadOnly : LeaseAccess.ReadWrite;
        MemoryType memoryType = entry.MemoryType switch
        {
            BarLeaseUapi.MemoryUncached => MemoryType.Uncached,
            BarLeaseUapi.MemoryWriteCombining => MemoryType.WriteCombining,
            _ => throw new InvalidDataException($"The kernel listed lease {entry.LeaseId} with a memory type that can't be ({entry.MemoryType})."),
        };
        ExportOptions options = new(access, memoryType, (entry.Flags & BarLeaseUapi.ExportP2p) != 0);
        return new ListedLease(new LeaseId(entry.LeaseId), address, own.MoveToImmutable(), options, (ListedLeaseState)entry.State);
    }

    private static unsafe BarLeaseInfo GetInfo(OwnedDescriptor session)
    {
        BarLeaseInfo info = new() { Argsz = (uint)sizeof(BarLeaseInfo) };
        Ioctl.Call(session, BarLeaseUapi.GetInfo, ref info, "BAR_LEASE_GET_INFO");
        return info;
    }

    internal static string OpenCure(string path, UnixException exception)
    {
        return exception.Errno switch
        {
            Errno.NoEntry => $"There is no {path}: load the kernel module that makes it (modprobe bar_lease).",
            Errno.NoDevice or Errno.NoSuchDevice => $"There is no module behind {path}: load it (modprobe bar_lease).",
            Errno.AccessDenied => $"{path} may not be opened: the broker's user or group must own it (chown, or a udev rule for KERNEL==\"bar_lease\").",
            _ => $"{path} can't be opened ({exception.Message}): see the kernel's log.",
        };
    }

    private unsafe int RevokeBatch(ReadOnlySpan<LeaseId> ids)
    {
        // LeaseId is one ulong and nothing else, so an array of them is what the kernel reads.
        Debug.Assert(Unsafe.SizeOf<LeaseId>() == sizeof(ulong));
        fixed (LeaseId* pointer = ids)
        {
            BarLeaseRevoke revoke = new() { Argsz = (uint)sizeof(BarLeaseRevoke), NrIds = (uint)ids.Length, Ids = (ulong)pointer };
            Ioctl.Call(_session, BarLeaseUapi.Revoke, ref revoke, "BAR_LEASE_REVOKE");
            return (int)revoke.NrRevoked;
        }
    }
}
