namespace BarBroker.Hostile.Attacks;

/// <summary>The control: uses a processor as an attacker does, and leaves the broker alone. What a client notices of it is the machine's doing.</summary>
internal sealed class NoAttack() : Attack("no_attack", counter: "")
{
    internal override void Strike(string socket) => Thread.SpinWait(10_000);
}
