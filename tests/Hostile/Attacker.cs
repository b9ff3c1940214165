using BarBroker.Hostile.Attacks;

namespace BarBroker.Hostile;

/// <summary>The attacking process: begins with each line <c>go</c> on standard input, ends with each other, and says <c>done</c> to every line.</summary>
internal static class Attacker
{
    internal static void Run(Attack attack, string socket)
    {
        using ManualResetEventSlim attacking = new();
        Lock gate = new();
        Thread thread = new(() =>
        {
            while (true)
            {
                attacking.Wait();
                lock (gate)
                {
                    if (attacking.IsSet)
                    {
                        attack.Strike(socket);
                    }
                }
            }
        })
        {
            IsBackground = true,
        };
        thread.Start();
        while (Console.In.ReadLine() is { } line)
        {
            if (line == "go")
            {
                attacking.Set();
            }
            else
            {
                attacking.Reset();
                lock (gate)
                {
                    attack.Rest();
                }
            }

            Console.Out.WriteLine("done");
            Console.Out.Flush();
        }
    }
}
