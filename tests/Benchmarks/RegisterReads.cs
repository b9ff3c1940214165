using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using BarBroker.Client;
using BarBroker.EndToEnd.Harness;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.Benchmarks;

/// <summary>
/// Reads of a register through a lease's mapping beside the same reads through VFIO's own, taking turns. The loop and its
/// instructions are the same ones; only the mapping differs.
/// </summary>
internal static partial class RegisterReads
{
    private const int Bar = 2;
    private const int Rounds = 200;
    private const int ReadsPerRound = 2000;
    private const int MapShared = 1;
    private const int ProtectionRead = 1;
    private const int PageSize = 4096;

    internal static async Task RunAsync(string address)
    {
        await using BrokerProcess broker = await BrokerProcess.StartAsync(runtimeDirectory => Policy(runtimeDirectory, address));
        await using BarBrokerClient client = await BarBrokerClient.ConnectAsync(broker.ClientSocket, CancellationToken.None);
        await using BarLease lease = await client.AcquireAsync("board", "left", LeaseAccess.ReadOnly, CancellationToken.None);
        using MappedBar mapped = lease.Map();

        // A VFIO group opens once, and the broker has it: the direct mapping is made of the broker's own device descriptor.
        using SafeFileHandle device = BorrowedDescriptor.Of(broker.ProcessId, "anon_inode:[vfio-device]");
        using Mapping direct = new(device, RegionOffset(device));
        using Mapping leased = new(lease.Descriptor, offset: 0);
        Compare(mapped, leased, direct);
    }

    private static void Compare(MappedBar mapped, Mapping leased, Mapping direct)
    {
        Samples throughLease = new();
        Samples throughVfio = new();
        Samples throughSdk = new();
        for (int round = 0; round < Rounds; round++)
        {
            throughLease.AddTicks(TimeReads(leased));
            throughVfio.AddTicks(TimeReads(direct));
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < ReadsPerRound; i++)
            {
                _ = mapped.Read32(0);
            }

            throughSdk.AddTicks(Stopwatch.GetTimestamp() - start);
        }

        double lease = throughLease.PercentileNanoseconds(50) / ReadsPerRound;
        double vfio = throughVfio.PercentileNanoseconds(50) / ReadsPerRound;
        double sdk = throughSdk.PercentileNanoseconds(50) / ReadsPerRound;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"bench mmio_read lease_ns={lease:0.0} vfio_ns={vfio:0.0} ratio={lease / vfio:0.000} sdk_ns={sdk:0.0}"));
    }

    private static unsafe long TimeReads(Mapping mapping)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < ReadsPerRound; i++)
        {
            _ = Volatile.Read(ref *mapping.Register);
        }

        return Stopwatch.GetTimestamp() - start;
    }

    private static unsafe long RegionOffset(SafeFileHandle device)
    {
        RegionInfo info = new() { ArgumentSize = (uint)sizeof(RegionInfo), Index = Bar };
        return Control(device, GetRegionInfo, ref info) == 0
            ? (long)info.Offset
            : throw new InvalidOperationException($"VFIO_DEVICE_GET_REGION_INFO: errno {Marshal.GetLastPInvokeError()}");
    }

    private static string Policy(string runtimeDirectory, string address) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "0",
          "devices": {
            "board": { "address": "{{address}}", "windows": { "left": { "bar": {{Bar}}, "offset": 0, "length": "4KiB" } } }
          },
          "grants": [{ "uid": 0, "device": "board", "windows": ["left"], "access": "read-only" }]
        }
        """;

    /// <summary>One readable page of a descriptor.</summary>
    private sealed unsafe class Mapping : IDisposable
    {
        internal Mapping(SafeHandle descriptor, long offset)
        {
            nint address = Map(0, PageSize, ProtectionRead, MapShared, descriptor, (nint)offset);
            Register = address != -1 ? (uint*)address : throw new InvalidOperationException($"mmap: errno {Marshal.GetLastPInvokeError()}");
        }

        internal uint* Register { get; }

        public void Dispose() => _ = Unmap((nint)Register, PageSize);
    }

    // struct vfio_region_info, linux/vfio.h
    [StructLayout(LayoutKind.Sequential)]
    private struct RegionInfo
    {
        internal uint ArgumentSize;
        internal uint Flags;
        internal uint Index;
        internal uint CapabilityOffset;
        internal ulong Size;
        internal ulong Offset;
    }

    // VFIO_DEVICE_GET_REGION_INFO, _IO(';', 100 + 8)
    private const nuint GetRegionInfo = (';' << 8) | 108;

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(SafeFileHandle descriptor, nuint request, ref RegionInfo argument);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, SafeHandle descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);
}
