using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Policy;

namespace BarBroker.Hosting.Doctor;

/// <summary>All that the doctor looks at, in order.</summary>
/// <param name="Functions">The PCI functions to look at.</param>
/// <param name="ClientGroup">The group of the broker's socket.</param>
/// <param name="NeedsHardware">Some device is real; a broker with simulated devices alone needs no VFIO.</param>
internal sealed record Examination(ImmutableArray<PciAddress> Functions, ClientGroup ClientGroup, bool NeedsHardware)
{
    /// <summary>What is the matter with devices that were not found.</summary>
    private ImmutableArray<Finding> Missing { get; init; } = [];

    public static Examination Of(BrokerPolicy policy, Machine machine)
    {
        List<PciAddress> functions = [];
        List<Finding> missing = [];
        foreach (DeviceSource source in policy.Devices.Select(device => device.Source))
        {
            try
            {
                functions.AddRange(source switch
                {
                    PciSource { Address: var address } => [address],
                    PciIdentitySource { Identity: var identity } => [machine.Pci.Find(identity)],
                    _ => [],
                });
            }
            catch (DeviceOpenException exception)
            {
                missing.Add(new Finding(Verdict.Failure, ((PciIdentitySource)source).Identity.ToString()[..9], exception.Message));
            }
        }

        return new Examination([.. functions], policy.ClientGroup, NeedsHardware: functions.Count + missing.Count > 0) { Missing = [.. missing] };
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

        return findings.Concat(new HostChecks(machine, ClientGroup).Run()).Concat(Missing).Concat(Functions.SelectMany(function => new DeviceChecks(machine, probe, function).Run()));
    }
}
