// Usage: bar-demo SOCKET DEVICE WINDOW
//
// An unprivileged client: leases a window, reads the identification register at its start and keeps writing to the register
// beside it, until the lease is revoked (exit status 3) or it is told to stop (SIGTERM; it gives the lease back).

using System.Runtime.InteropServices;
using BarBroker.Client;

const ulong Identification = 0;
const ulong Counter = 0x100;
const int RevokedStatus = 3;

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

await using BarBrokerClient client = await BarBrokerClient.ConnectAsync(socket, stop.Token);
await using BarLease lease = await client.AcquireAsync(device, window, LeaseAccess.ReadWrite, stop.Token);
using MappedBar registers = lease.Map();
Say($"lease {lease.Id}: BAR {lease.Bar} 0x{lease.Offset:x}+0x{lease.Length:x}, identification register reads 0x{registers.Read32(Identification):x8}");

using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(500));
try
{
    for (uint count = 1; await timer.WaitForNextTickAsync(stop.Token); count++)
    {
        registers.Write32(Counter, count);
        Say($"wrote {count}, reads back {registers.Read32(Counter)}");
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
