namespace BarBroker.Client;

/// <summary>A lease will end, whatever its holder does: it is to be released before.</summary>
/// <param name="Reason">Why.</param>
/// <param name="EndTime">When, by this machine's clock.</param>
/// <param name="Message">The same for people, in the broker's words.</param>
public sealed record LeaseNotice(LeaseEndReason Reason, DateTimeOffset EndTime, string Message);
