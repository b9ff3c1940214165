// Prints figures, one a line: `bench NAME KEY=VALUE...`. What a decision of the policy costs; on the simulated device what calls and leases cost, beside C++'s gRPC and a bare
// socket in C; in the virtual machine what reading through a lease costs. No figure is judged here.
//   bar-benchmarks                BAR_BROKER_NATIVE names the directory of the native programs, BAR_BROKER_STAGE that of the broker
//   bar-benchmarks serve SOCKET   serves benchmark.proto on the broker's gRPC; says so, and ends with its standard input
//   bar-benchmarks call SOCKET    calls it as the commands of its standard input say

using BarBroker.Benchmarks;

switch (args)
{
    case ["serve", string socket]:
        await BenchmarkServer.RunAsync(socket);
        break;
    case ["call", string socket]:
        await BenchmarkClient.RunAsync(socket);
        break;
    default:
        if (Environment.GetEnvironmentVariable("BAR_BROKER_VM_IVSHMEM") is { } address)
        {
            await RegisterReads.RunAsync(address);
        }
        else
        {
            PolicyDecisions.Run();
            await CallComparison.RunAsync();
            await LeaseCalls.RunAsync();
        }

        break;
}
