using BarBroker.Leases;
using BarBroker.Transport;
using BarBroker.Transport.Redeem;
using V1 = BarBroker.V1;

namespace BarBroker.Rpc.Services;

/// <summary>Leases whose descriptor is fetched with a ticket: the ticket holds them, and hears of their end.</summary>
internal static class TicketDelivery
{
    /// <summary>Makes a lease and a ticket for it. When this throws, there is neither.</summary>
    /// <exception cref="Grpc.RpcException">There can be no ticket.</exception>
    /// <exception cref="LeaseRefusedException">There can be no lease.</exception>
    /// <inheritdoc cref="LeaseTable.AcquireAsync" path="/exception"/>
    public static async Task<V1.AcquireResponse> AcquireAsync(
        LeaseTable leases, IPeerConnection acquirer, LeaseRequest request, CancellationToken cancellationToken)
    {
        TicketConnection ticket = Issue(acquirer);
        try
        {
            AcquiredLease acquired = await leases.AcquireAsync(ticket, request, cancellationToken);
            _ = FollowAsync(leases.Watch(ticket), ticket);
            return new V1.AcquireResponse
            {
                Lease = acquired.Lease.ToMessage(),
                Ticket = new V1.Ticket
                {
                    Secret = ticket.Open().Reveal(),
                    ValidSeconds = (uint)TicketLimits.ValidFor.TotalSeconds,
                    Inode = acquired.Inode,
                },
            };
        }
        catch
        {
            ticket.EndWithLease();
            throw;
        }
    }

    private static TicketConnection Issue(IPeerConnection acquirer)
    {
        try
        {
            return acquirer.IssueTicket()
                ?? throw Errors.DeliveryUnsupported("This socket has no DELIVERY_TICKET: it has DELIVERY_IN_BAND, as the BarBroker.Client SDK uses it.");
        }
        catch (TicketLimitException refused)
        {
            throw Errors.From(refused);
        }
    }

    /// <summary>The feed ends with the ticket, whose one lease it tells of, or with the table: it does not fail.</summary>
    private static async Task FollowAsync(LeaseFeed feed, TicketConnection ticket)
    {
        using (feed)
        {
            await foreach (LeaseEvent happened in feed.ReadAllAsync(CancellationToken.None))
            {
                if (happened is LeaseEndedEvent or LeaseSnapshot { Leases.IsEmpty: true })
                {
                    break;
                }
            }
        }

        ticket.EndWithLease();
    }
}
