using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using BarBroker.Unix;

namespace BarBroker.Probe;

/// <summary>A connection that came with a ticket: what a client in any language does, on a bare socket.</summary>
internal sealed class RedeemedTicket : IDescriptorSink, IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private OwnedDescriptor? _descriptor;

    private RedeemedTicket()
    {
    }

    /// <summary>The byte that the broker answered, as a number; <c>end</c> when it closed without one.</summary>
    internal string Answer { get; private set; } = "";

    internal ulong Inode => Files.InodeOf(_descriptor!);

    internal static async Task<RedeemedTicket> RedeemAsync(string path, string secret)
    {
        RedeemedTicket ticket = new();
        await ticket._socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        await ticket._socket.SendAsync(Encoding.ASCII.GetBytes($"BARFD1 {secret}\n"), SocketFlags.None);
        byte[] answer = new byte[1];
        int received;
        do
        {
            await ticket._socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None);
            received = DescriptorSocket.TryReceive(ticket._socket.SafeHandle, answer, ticket);
        }
        while (received == DescriptorSocket.WouldBlock);

        ticket.Answer = received == 0 ? "end" : answer[0].ToString(CultureInfo.InvariantCulture);
        return ticket;
    }

    internal uint Read32(ulong offset)
    {
        nuint page = (nuint)Environment.SystemPageSize;
        nint address = Libc.Map(0, page, Libc.ProtectionRead, Libc.MapShared, RawDescriptor.Number(_descriptor!), 0);
        if (address == Libc.MapFailed)
        {
            throw new InvalidOperationException($"mmap: errno {Marshal.GetLastPInvokeError()}");
        }

        uint value = (uint)Marshal.ReadInt32(address, (int)offset);
        _ = Libc.Unmap(address, page);
        return value;
    }

    internal async Task WaitForEndAsync()
    {
        if (await _socket.ReceiveAsync(new byte[1], SocketFlags.None) != 0)
        {
            throw new InvalidOperationException("The broker said more than one byte.");
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _descriptor?.Dispose();
    }

    void IDescriptorSink.Received(OwnedDescriptor descriptor)
    {
        _descriptor?.Dispose();
        _descriptor = descriptor;
    }

    void IDescriptorSink.Lost() => throw new InvalidOperationException("The descriptor was lost: the table is full.");
}
