// Usage: bar-demo SOCKET DEVICE WINDOW
//
// An unprivileged client: leases a window, reads the identification register at its start and keeps writing to a register
// behind it, until the lease is revoked (exit status 3) or it is told to stop (SIGTERM; it gives the lease back). SIGUSR1 asks
// it how far it is.

using System.Runtime.InteropServices;
using BarBroker.Client;

const ulong Identification = 0;
const ulong Counter = 0x100;
const int RevokedStatus = 3;
const int UserSignal1 = 10;

if (args is not [{ } socket, { } device, { } window])
{
    Console.Error.WriteLine("Usage: bar-demo SOCKET DEVICE WINDOW");
    return 2;
}

using CancellationTokenSource stop = new();
using PosixSignalRegistration onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
{
    signal.Cancel = true;
    stop.Cancel();
});

uint count = 0;
using PosixSignalRegistration onAsked = PosixSignalRegistration.Create((PosixSignal)UserSignal1, signal =>
{
    signal.Cancel = true;
    Say($"goes on: {Volatile.Read(ref count)} writes, each read back");
});

await using BarBrokerClient client = await BarBrokerClient.ConnectAsync(socket, stop.Token);
await using BarLease lease = await client.AcquireAsync(device, window, LeaseAccess.ReadWrite, stop.Token);
using MappedBar registers = lease.Map();
Say($"lease {lease.Id}: BAR {lease.Bar} 0x{lease.Offset:x}+0x{lease.Length:x}, identification register reads 0x{registers.Read32(Identification):x8}");

using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(100));
try
{
    while (await timer.WaitForNextTickAsync(stop.Token))
    {
        registers.Write32(Counter, count + 1);
        if (registers.Read32(Counter) != count + 1)
        {
            throw new InvalidDataException("The register did not keep what was written.");
        }

        if (Interlocked.Increment(ref count) == 1)
        {
            Say("wrote 1, reads back 1, and goes on so");
        }
    }
}
catch (LeaseRevokedException exception)
{
    Say($"LeaseRevokedException: {exception.Message}");
    return RevokedStatus;
}
catch (OperationCanceledException)
{
    Say("told to stop, gives the lease back");
}

return 0;

void Say(string text) => Console.WriteLine($"{window,6}  uid {Environment.GetEnvironmentVariable("DEMO_UID")}  {text}");
