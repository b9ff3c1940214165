using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Takes what arrives beside the bytes.</summary>
internal interface IDescriptorSink
{
    /// <summary>A descriptor arrived; the sink owns it.</summary>
    void Received(OwnedDescriptor descriptor);

    /// <summary>One was sent, but the kernel could not put it into this process: its descriptor table is full.</summary>
    void Lost();
}

/// <summary>
/// Bytes with descriptors over a connected Unix stream socket, one system call each, never blocking. The sender's rule is one
/// descriptor per call, which makes a lost one countable.
/// </summary>
internal static unsafe class DescriptorSocket
{
    /// <summary>What <see cref="TrySend"/> and <see cref="TryReceive(SafeHandle, Span{byte})"/> return when the socket isn't ready.</summary>
    internal const int WouldBlock = -1;

    /// <summary>The most descriptors that the kernel puts into one message (SCM_MAX_FD): with room for them, truncation only means a full table.</summary>
    private const int MaxDescriptorsPerMessage = 253;

    private static readonly int ControlHeaderSize = Align(sizeof(Libc.ControlHeader));

    /// <summary>
    /// Sends at least one byte of <paramref name="bytes"/>, and <paramref name="descriptor"/> with the first of them. The caller keeps the
    /// descriptor, and must not send it again once this returned a count.
    /// </summary>
    /// <returns>Bytes sent, or <see cref="WouldBlock"/>: then nothing was sent, and no descriptor either.</returns>
    /// <exception cref="UnixException">The connection is broken.</exception>
    internal static int TrySend(SafeHandle socket, ReadOnlySpan<byte> bytes, SafeHandle? descriptor)
    {
        byte* control = stackalloc byte[ControlHeaderSize + Align(sizeof(int))];
        bool referenced = false;
        try
        {
            fixed (byte* start = bytes)
            {
                Libc.IoVector vector = new() { Base = start, Length = (nuint)bytes.Length };
                Libc.MessageHeader message = new() { Vectors = &vector, VectorCount = 1 };
                if (descriptor is not null)
                {
                    descriptor.DangerousAddRef(ref referenced);
                    Libc.ControlHeader* header = (Libc.ControlHeader*)control;
                    header->Length = (nuint)(ControlHeaderSize + sizeof(int));
                    header->Level = Libc.SolSocket;
                    header->Type = Libc.ScmRights;
                    Unsafe.WriteUnaligned(control + ControlHeaderSize, (int)descriptor.DangerousGetHandle());
                    message.Control = control;
                    message.ControlLength = (nuint)(ControlHeaderSize + Align(sizeof(int)));
                }

                while (true)
                {
                    nint sent = Libc.SendMessage(socket, &message, Libc.MsgDontWait | Libc.MsgNoSignal);
                    if (sent >= 0)
                    {
                        return (int)sent;
                    }

                    int errno = Marshal.GetLastPInvokeError();
                    if (errno == Errno.Again)
                    {
                        return WouldBlock;
                    }

                    if (errno != Errno.Interrupted)
                    {
                        throw new UnixException(descriptor is null ? "sendmsg" : "sendmsg with a descriptor", errno);
                    }
                }
            }
        }
        finally
        {
            if (referenced)
            {
                descriptor!.DangerousRelease();
            }
        }
    }

    /// <summary>Reads what is there, and gives the descriptors that come with it to <paramref name="sink"/>, in order.</summary>
    /// <returns>Bytes read, 0 at the end of the stream, or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="UnixException">The connection is broken.</exception>
    internal static int TryReceive(SafeHandle socket, Span<byte> buffer, IDescriptorSink sink) => TryReceive(socket, buffer, flags: 0, sink);

    /// <summary>Reads what is there; the kernel drops the descriptors that come with it, for want of a place to put them.</summary>
    /// <inheritdoc cref="TryReceive(SafeHandle, Span{byte}, IDescriptorSink)"/>
    internal static int TryReceive(SafeHandle socket, Span<byte> buffer) => TryReceive(socket, buffer, flags: 0, sink: null);

    /// <summary>
    /// Reads what is there and leaves it where it is, its descriptors too. Without a buffer that only tells whether a read would have
    /// something to say, which may be the end: 0, or <see cref="WouldBlock"/>.
    /// </summary>
    /// <inheritdoc cref="TryReceive(SafeHandle, Span{byte}, IDescriptorSink)"/>
    internal static int TryPeek(SafeHandle socket, Span<byte> buffer) => TryReceive(socket, buffer, Libc.MsgPeek, sink: null);

    /// <summary>
    /// Whether the other end of a stream is closed, whatever it sent before that is still unread. To send nothing is an error then, and nothing
    /// otherwise: unix_stream_sendmsg looks at that first.
    /// </summary>
    internal static bool HasPeerLeft(SafeHandle socket)
    {
        Libc.MessageHeader nothing = default;
        return Libc.SendMessage(socket, &nothing, Libc.MsgDontWait | Libc.MsgNoSignal) < 0;
    }

    /// <summary>Bytes of kernel memory that hold what the peer has not read: an upper bound for unread messages follows from it.</summary>
    internal static int GetUnreadMemory(SafeHandle socket) =>
        Libc.IoctlGetInt(socket, Libc.SiocOutq, out int bytes) == 0 ? bytes : throw UnixException.FromLastError("ioctl SIOCOUTQ");

    private static int TryReceive(SafeHandle socket, Span<byte> buffer, int flags, IDescriptorSink? sink)
    {
        int controlSize = sink is null ? 0 : ControlHeaderSize + Align(MaxDescriptorsPerMessage * sizeof(int));
        byte* control = stackalloc byte[controlSize];
        fixed (byte* start = buffer)
        {
            Libc.IoVector vector = new() { Base = start, Length = (nuint)buffer.Length };
            while (true)
            {
                Libc.MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = (nuint)controlSize };
                nint received = Libc.ReceiveMessage(socket, &message, Libc.MsgDontWait | Libc.MsgCmsgCloseOnExec | flags);
                if (received >= 0)
                {
                    if (sink is not null && TakeDescriptors(control, (int)message.ControlLength, sink) == 0
                        && (message.Flags & Libc.MsgControlTruncated) != 0)
                    {
                        sink.Lost();
                    }

                    return (int)received;
                }

                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.Again)
                {
                    return WouldBlock;
                }

                if (errno != Errno.Interrupted)
                {
                    throw new UnixException("recvmsg", errno);
                }
            }
        }
    }

    private static int TakeDescriptors(byte* control, int length, IDescriptorSink sink)
    {
        int descriptors = 0;
        int offset = 0;
        while (offset + ControlHeaderSize <= length)
        {
            Libc.ControlHeader* header = (Libc.ControlHeader*)(control + offset);
            int end = offset + (int)header->Length;
            if (header->Length < (nuint)ControlHeaderSize || end > length)
            {
                break;
            }

            if (header->Level == Libc.SolSocket && header->Type == Libc.ScmRights)
            {
                for (int at = offset + ControlHeaderSize; at + sizeof(int) <= end; at += sizeof(int))
                {
                    sink.Received(new OwnedDescriptor(Unsafe.ReadUnaligned<int>(control + at)));
                    descriptors++;
                }
            }

            offset += Align((int)header->Length);
        }

        return descriptors;
    }

    /// <summary>CMSG_ALIGN.</summary>
    private static int Align(int size) => (size + sizeof(nint) - 1) & ~(sizeof(nint) - 1);
}
