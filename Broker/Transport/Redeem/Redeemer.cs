using System.Net.Sockets;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using BarBroker.Unix;

namespace BarBroker.Transport.Redeem;

/// <summary>What a connection came with: a ticket, or nothing that could be one.</summary>
/// <param name="Secret">The ticket.</param>
/// <param name="Refusal">What to answer without one.</param>
internal readonly record struct RedeemRequest(TicketSecret? Secret, RedeemAnswer Refusal);

/// <summary>
/// Serves the connections that come with a ticket. Each gets one byte. A connection that was granted a descriptor says nothing more, and its
/// end, from whichever side, is the lease's.
/// </summary>
internal sealed class Redeemer(TicketBook book, TicketLog log, WireCounters counters)
{
    /// <summary>What a peer may have sent after its ticket: as much is read before it is refused, since closing a socket with unread bytes looks like an error to it.</summary>
    private const int MostDrained = 4096;

    /// <summary>Reads what the peer came with, for as long as it can still be a ticket. Of a user who guesses, nothing is read.</summary>
    /// <exception cref="OperationCanceledException">The peer took too long.</exception>
    /// <exception cref="SocketException">It is gone.</exception>
    internal async Task<RedeemRequest> ReadAsync(AcceptedPeer peer)
    {
        if (!peer.EndPoint.TakesTickets)
        {
            counters.TicketsRefused.Add(RefusedTicket.Malformed);
            return new RedeemRequest(null, RedeemAnswer.Malformed);
        }

        if (book.IsBlocked(peer.Credentials.Uid))
        {
            counters.TicketsRefused.Add(RefusedTicket.Blocked);
            return new RedeemRequest(null, RedeemAnswer.Refused);
        }

        byte[] preface = new byte[TicketPreface.Length];
        int count = 0;
        while (count < preface.Length)
        {
            int received = await peer.Socket.ReceiveAsync(preface.AsMemory(count), SocketFlags.None, peer.Silence.Token);
            count += received;
            if (received == 0 || !TicketPreface.IsBeginning(preface.AsSpan(0, count)))
            {
                break;
            }
        }

        if (TicketPreface.TryRead(preface.AsSpan(0, count), out TicketSecret secret))
        {
            return new RedeemRequest(secret, default);
        }

        counters.TicketsRefused.Add(RefusedTicket.Malformed);
        return new RedeemRequest(null, RedeemAnswer.Malformed);
    }

    /// <summary>Answers, and stays with a connection that was granted its descriptor until that is over. Closes the peer.</summary>
    /// <param name="peer">Who came.</param>
    /// <param name="request">With what.</param>
    /// <param name="stop">Ends the connection.</param>
    internal async Task ServeAsync(AcceptedPeer peer, RedeemRequest request, CancellationToken stop)
    {
        TicketConnection? ticket = null;
        RedeemAnswer answer = request.Secret is { } secret ? book.Redeem(secret, peer, out ticket) : request.Refusal;
        if (ticket is null)
        {
            Refuse(peer, answer);
        }
        else if (ticket.HandOver(peer) is { } descriptor)
        {
            await GrantAsync(peer, ticket, descriptor, stop);
        }
        else
        {
            Refuse(peer, RedeemAnswer.LeaseOver);
        }
    }

    /// <summary>Sends an answer without a descriptor; nothing more comes. The caller closes the socket.</summary>
    /// <exception cref="UnixException">The peer is gone.</exception>
    /// <exception cref="SocketException">The same.</exception>
    internal static void Answer(Socket socket, RedeemAnswer answer)
    {
        DescriptorSocket.TrySend(socket.SafeHandle, [(byte)answer], descriptor: null);
        byte[] rest = new byte[Math.Min(socket.Available, MostDrained)];
        if (rest.Length > 0)
        {
            _ = socket.Receive(rest);
        }
    }

    private void Refuse(AcceptedPeer peer, RedeemAnswer answer)
    {
        peer.Account.Pace.Charge(PaceLimits.WrongTicket);
        log.Answered(peer.Id, peer.Credentials.Uid, peer.Credentials.Pid, answer);
        try
        {
            Answer(peer.Socket, answer);
        }
        catch (Exception exception) when (exception is UnixException or SocketException)
        {
            // It did not wait for the answer.
        }

        peer.Close();
    }

    private async Task GrantAsync(AcceptedPeer peer, TicketConnection ticket, OwnedDescriptor descriptor, CancellationToken stop)
    {
        OutgoingDescriptors outgoing = new(peer.Socket.SafeHandle, ticket.Share, limit: 1);
        string reason = "it failed";
        try
        {
            outgoing.EnqueueReserved(descriptor);
            log.Redeemed(ticket.Id, peer.Credentials.Uid, peer.Credentials.Pid, peer.Id);
            Send(peer.Socket, outgoing);
            reason = await WaitForEndAsync(peer.Socket, ticket, stop);
        }
        catch (Exception exception) when (exception is UnixException or SocketException)
        {
            reason = exception.Message;
        }
        finally
        {
            ticket.EndWithLease();
            log.Ended(ticket.Id, peer.Id, peer.Credentials.Uid, peer.Credentials.Pid, reason);
            peer.Close(outgoing.Close(), ticket.Share);
        }
    }

    /// <summary>A fresh socket has room for a byte: where it has none, this connection is of no use.</summary>
    private static void Send(Socket socket, OutgoingDescriptors outgoing)
    {
        int sent = DescriptorSocket.TrySend(socket.SafeHandle, [(byte)RedeemAnswer.Granted], outgoing.Peek(out _));
        if (sent == DescriptorSocket.WouldBlock)
        {
            throw new UnixException("sendmsg with a descriptor", Errno.Again);
        }

        outgoing.MarkSent();
    }

    /// <summary>The peer says its part by closing; one that sends more has something else in mind than this protocol.</summary>
    private static async Task<string> WaitForEndAsync(Socket socket, TicketConnection ticket, CancellationToken stop)
    {
        await using CancellationTokenRegistration over = ticket.Closed.UnsafeRegister(static socket => SocketEnd.ShutDown((Socket)socket!), socket);
        await using CancellationTokenRegistration stopped = stop.UnsafeRegister(static socket => SocketEnd.ShutDown((Socket)socket!), socket);
        int received = await socket.ReceiveAsync(new byte[1], SocketFlags.None);
        if (received > 0)
        {
            return "the client sent bytes after its ticket";
        }

        return ticket.Closed.IsCancellationRequested ? "its lease ended" : stop.IsCancellationRequested ? "the broker stops" : "the client closed it";
    }
}
