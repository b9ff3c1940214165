// Prints figures, one a line: `bench NAME KEY=VALUE...`. On the simulated device what a lease costs; in the virtual machine
// what reading through one costs. No figure is judged here.

using BarBroker.Benchmarks;

if (Environment.GetEnvironmentVariable("BAR_BROKER_VM_IVSHMEM") is { } address)
{
    await RegisterReads.RunAsync(address);
}
else
{
    await LeaseCalls.RunAsync();
}
