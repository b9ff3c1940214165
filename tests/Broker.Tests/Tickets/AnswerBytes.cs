namespace BarBroker.Tests.Tickets;

/// <summary>The answers to tickets as broker.proto has them: numbers, so that no change of the broker's own names changes the protocol unseen.</summary>
internal static class AnswerBytes
{
    internal const int Granted = 0;
    internal const int Refused = 1;
    internal const int TooManyConnections = 2;
    internal const int Malformed = 3;
    internal const int LeaseOver = 4;

    internal const string NobodysSecret = "00000000000000000000000000000000";
}
