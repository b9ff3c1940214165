namespace BarBroker.Transport.Redeem;

/// <summary>The user has as many tickets that are not redeemed as one may have. The message is for the one who asked.</summary>
internal sealed class TicketLimitException(string message) : Exception(message);
