using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>What the kernel tells of devices that come and go.</summary>
internal interface IKernelEvents : IDisposable
{
    /// <summary>Becomes readable with each event; stays owned by this object.</summary>
    OwnedDescriptor Descriptor { get; }

    /// <summary>Takes the next event that waits.</summary>
    /// <param name="buffer">Where to put it: 8 KiB hold any.</param>
    /// <returns>Its length; 0 for one that did not come from the kernel, and is not to be believed; null when none waits.</returns>
    /// <exception cref="UnixException">ENOBUFS: there were more than could be kept, and some are lost.</exception>
    int? Receive(Span<byte> buffer);
}

/// <summary>These events, as udev hears them (netlink(7), NETLINK_KOBJECT_UEVENT). Takes no privilege.</summary>
internal sealed class KernelEventSocket : IKernelEvents
{
    private const int AddressFamily = 16;
    private const int Datagram = 2;
    private const int NonBlockingCloseOnExec = 0x80800;
    private const int ObjectEvents = 15;
    private const uint KernelGroup = 1;
    private const int FromSocket = 0;

    /// <exception cref="UnixException">The kernel has no such sockets, or a sandbox keeps them from this process.</exception>
    public KernelEventSocket()
    {
        int descriptor = Libc.Socket(AddressFamily, Datagram | NonBlockingCloseOnExec, ObjectEvents);
        Descriptor = descriptor < 0 ? throw UnixException.FromLastError("socket(AF_NETLINK)") : new OwnedDescriptor(descriptor);
        Libc.NetlinkAddress address = new() { Family = AddressFamily, Groups = KernelGroup };
        if (Libc.Bind(Descriptor, ref address, Unsafe.SizeOf<Libc.NetlinkAddress>()) < 0)
        {
            UnixException failure = UnixException.FromLastError("bind to the kernel's device events");
            Descriptor.Dispose();
            throw failure;
        }
    }

    /// <inheritdoc/>
    public OwnedDescriptor Descriptor { get; }

    /// <inheritdoc/>
    public unsafe int? Receive(Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            while (true)
            {
                Libc.NetlinkAddress sender = default;
                int length = Unsafe.SizeOf<Libc.NetlinkAddress>();
                nint count = Libc.ReceiveFrom(Descriptor, start, (nuint)buffer.Length, FromSocket, ref sender, ref length);
                if (count >= 0)
                {
                    return sender.Port == 0 ? (int)count : 0;
                }

                switch (Marshal.GetLastPInvokeError())
                {
                    case Errno.Interrupted:
                        break;
                    case Errno.Again:
                        return null;
                    default:
                        throw UnixException.FromLastError("recvfrom the kernel's device events");
                }
            }
        }
    }

    public void Dispose() => Descriptor.Dispose();
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "socket", SetLastError = true)]
    internal static partial int Socket(int family, int type, int protocol);

    [LibraryImport(Library, EntryPoint = "bind", SetLastError = true)]
    internal static partial int Bind(OwnedDescriptor socket, ref NetlinkAddress address, int length);

    [LibraryImport(Library, EntryPoint = "recvfrom", SetLastError = true)]
    internal static unsafe partial nint ReceiveFrom(OwnedDescriptor socket, byte* buffer, nuint count, int flags, ref NetlinkAddress sender, ref int senderLength);

    /// <summary>struct sockaddr_nl of linux/netlink.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NetlinkAddress
    {
        public ushort Family;
        public ushort Pad;
        public uint Port;
        public uint Groups;
    }
}
