using Xunit.Sdk;
using Xunit.v3;

// One device, one broker: scenarios take turns.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(Machine))]
