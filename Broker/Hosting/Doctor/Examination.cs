using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Policy;

namespace BarBroker.Hosting.Doctor;

/// <summary>All that the doctor looks at, in order.</summary>
/// <param name="Functions">The PCI functions to look at.</param>
/// <param name="ClientGroup">The group of the broker's socket.</param>
/// <param name="NeedsHardware">Some device is real; a broker with simulated devices alone needs no VFIO.</param>
internal sealed record Examination(ImmutableArray<PciAddress> Functions, ClientGroup ClientGroup, bool NeedsHardware)
{
    public static Examination Of(BrokerPolicy policy)
    {
        ImmutableArray<PciAddress> functions = [.. policy.Devices.Select(device => device.Source).OfType<PciSource>().Select(source => source.Address)];
        return new Examination(functions, policy.ClientGroup, NeedsHardware: functions.Length > 0);
    }

    public IEnumerable<Finding> Run(Machine machine, IProbe probe)
    {
        IEnumerable<Finding> findings = [];
        if (NeedsHardware)
        {
            KernelChecks kernel = new(machine, probe);
            Finding fitness = kernel.CheckFitness(Functions);
            if (fitness.Verdict == Verdict.UnfitKernel)
            {
                // Nothing else matters then.
                return [fitness];
            }

            findings = kernel.Run().Prepend(fitness);
        }

        return findings.Concat(new HostChecks(machine, ClientGroup).Run()).Concat(Functions.SelectMany(function => new DeviceChecks(machine, probe, function).Run()));
    }
}
