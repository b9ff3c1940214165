// Attacks a broker, one way after another, and measures what a well-behaved client of another user notices: a line each,
// `hostile ATTACK KEY=VALUE...`, and at the end `N passed, N failed`. With arguments, the attacker:
//     bar-hostile ATTACK SOCKET FIRST-USER

using System.Globalization;
using BarBroker.Hostile;
using BarBroker.Hostile.Attacks;

if (args is [var name, var socket, var user])
{
    using Attacker attacker = new(AttackList.Find(name), socket, int.Parse(user, CultureInfo.InvariantCulture));
    attacker.Run();
    return 0;
}

string[] chosen = (Environment.GetEnvironmentVariable("BAR_BROKER_ATTACKS") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
return await Trial.RunAsync(chosen.Length == 0 ? AttackList.All : [.. chosen.Select(AttackList.Find)]) ? 0 : 1;
