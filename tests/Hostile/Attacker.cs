using System.Diagnostics;
using System.Runtime.InteropServices;
using BarBroker.Hostile.Attacks;

namespace BarBroker.Hostile;

/// <summary>
/// The attacking process: begins with each line <c>go</c> on standard input, under a user whom nothing is held against yet, ends with each other, and
/// says <c>done</c> to every line, with the first user that is left. One who is refused goes on as the next, before long: so it is the attack that runs, not
/// its refusal.
/// </summary>
internal sealed partial class Attacker(Attack attack, string socket, int firstUser) : IDisposable
{
    /// <summary>Ten users in a slice: who has more of them on a host than that is not stopped by limits that are each user's.</summary>
    private static readonly TimeSpan LeastPerUser = TimeSpan.FromMilliseconds(100);

    private readonly ManualResetEventSlim _attacking = new();
    private readonly Lock _gate = new();
    private int _nextUser = firstUser;
    private long _since;

    internal void Run()
    {
        Thread thread = new(AttackForever)
        {
            IsBackground = true,
        };
        thread.Start();
        while (Console.In.ReadLine() is { } line)
        {
            if (line == "go")
            {
                BecomeNext();
                _attacking.Set();
            }
            else
            {
                _attacking.Reset();
                lock (_gate)
                {
                    attack.Rest();
                }
            }

            Console.Out.WriteLine($"done {_nextUser}");
            Console.Out.Flush();
        }
    }

    public void Dispose() => _attacking.Dispose();

    private void AttackForever()
    {
        while (true)
        {
            _attacking.Wait();
            lock (_gate)
            {
                if (!_attacking.IsSet)
                {
                    continue;
                }

                attack.Strike(socket);
                if (AttackSocket.TakeRefused() && !attack.IsAboutRefusals && Stopwatch.GetElapsedTime(_since) >= LeastPerUser)
                {
                    attack.Rest();
                    BecomeNext();
                }
            }
        }
    }

    /// <summary>For all threads (seteuid(3)); the kernel tells a listener the effective user of who connects. The group stays the clients'.</summary>
    private void BecomeNext()
    {
        if (SetUser(0) != 0 || SetUser((uint)_nextUser++) != 0)
        {
            throw new InvalidOperationException($"seteuid: errno {Marshal.GetLastPInvokeError()}");
        }

        AttackSocket.TakeRefused();
        _since = Stopwatch.GetTimestamp();
    }

    [LibraryImport("libc", EntryPoint = "seteuid", SetLastError = true)]
    private static partial int SetUser(uint user);
}
