using BarBroker.Transport.Pacing;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>The connection that a call came on. Leases belong to it.</summary>
public interface IPeerConnection
{
    /// <summary>Its number in this run of the broker, from 1.</summary>
    ulong Id { get; }

    /// <summary>Who made it.</summary>
    PeerCredentials Credentials { get; }

    /// <summary>Is cancelled once the connection has ended, whoever ended it.</summary>
    CancellationToken Closed { get; }

    /// <summary>Is cancelled once the process that made the connection has ended, even if others hold copies of its socket.</summary>
    CancellationToken ProcessExited { get; }

    /// <summary>
    /// Takes over <paramref name="descriptor"/> and sends it with the next bytes of this connection, so that it arrives no
    /// later than a reply written after this call. Whatever happens to the connection, the descriptor gets closed here.
    /// </summary>
    /// <returns>Its number in this connection's sequence, from 0.</returns>
    /// <exception cref="DescriptorBudgetException">Too many descriptors are on their way; <paramref name="descriptor"/> is closed.</exception>
    /// <exception cref="IOException">The connection has ended; <paramref name="descriptor"/> is closed.</exception>
    ulong QueueDescriptor(OwnedDescriptor descriptor);

    /// <summary>The connection whose calls may release its leases: itself, save for a ticket's.</summary>
    internal ulong AcquirerId => Id;

    /// <summary>Its user's place in the budget of descriptors; null where there is none.</summary>
    internal DescriptorShare? Descriptors => null;

    /// <summary>Takes one of the calls that its user may have under way; when that worked, call <see cref="EndCall"/> at its end.</summary>
    /// <param name="limit">How many that are.</param>
    internal bool TryBeginCall(out int limit)
    {
        limit = int.MaxValue;
        return true;
    }

    internal void EndCall()
    {
    }

    /// <summary>One of its calls was refused for being too much: it costs its user something (<see cref="PaceLimits"/>).</summary>
    internal void ChargeRefusedCall()
    {
    }

    /// <summary>What is to hold a lease that its client fetches with a ticket; null where tickets are not taken.</summary>
    /// <exception cref="TicketLimitException">The user has too many that are not redeemed.</exception>
    internal TicketConnection? IssueTicket() => null;
}

/// <summary>Too many descriptors are under way, on one connection or in all.</summary>
public sealed class DescriptorBudgetException(string message) : Exception(message);
