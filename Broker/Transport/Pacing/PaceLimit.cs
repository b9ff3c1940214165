namespace BarBroker.Transport.Pacing;

/// <summary>How much of a processor's time the misuse of one user may cost before the user is slowed down.</summary>
/// <param name="BurstMicroseconds">At once.</param>
/// <param name="MicrosecondsPerSecond">For as long as it likes.</param>
internal readonly record struct PaceLimit(int BurstMicroseconds, int MicrosecondsPerSecond);
