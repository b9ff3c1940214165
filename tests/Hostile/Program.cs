// Attacks a broker, one way after another, and measures what a well-behaved client of another user notices: a line each,
// `hostile ATTACK KEY=VALUE...`, and at the end `N passed, N failed`. With arguments, the attacker:
//     bar-hostile ATTACK SOCKET

using BarBroker.Hostile;
using BarBroker.Hostile.Attacks;

if (args is [var name, var socket])
{
    Attacker.Run(AttackList.Find(name), socket);
    return 0;
}

string[] chosen = (Environment.GetEnvironmentVariable("BAR_BROKER_ATTACKS") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
return await Trial.RunAsync(chosen.Length == 0 ? AttackList.All : [.. chosen.Select(AttackList.Find)]) ? 0 : 1;
