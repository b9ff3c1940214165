using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Policy;

namespace BarBroker.Hosting.Doctor;

/// <summary>All that the doctor looks at, in order.</summary>
/// <param name="Functions">The PCI functions to look at.</param>
/// <param name="ClientGroup">The group of the broker's socket.</param>
/// <param name="NeedsHardware">Some device is real; a broker with simulated devices alone needs no VFIO.</param>
/// <param name="Policy">What they have to fit, and its file; null when only functions are looked at.</param>
internal sealed record Examination(
    ImmutableArray<PciAddress> Functions, ClientGroup ClientGroup, bool NeedsHardware, (BrokerPolicy Rules, string File)? Policy = null)
{
    public static Examination Of(BrokerPolicy policy, string file)
    {
        ImmutableArray<PciAddress> functions = [.. policy.Devices.Select(device => device.Source).OfType<PciSource>().Select(source => source.Address)];
        return new Examination(functions, policy.ClientGroup, NeedsHardware: functions.Length > 0, (policy, file));
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

        return findings
            .Concat(new HostChecks(machine, ClientGroup, Policy?.Rules.RuntimeDirectory).Run())
            .Concat(Functions.SelectMany(function => new DeviceChecks(machine, probe, function, bars => FindMisfits(function, bars)).Run()));
    }

    /// <summary>What of the policy does not fit a function with these BARs, a line each.</summary>
    private IEnumerable<string> FindMisfits(PciAddress function, ImmutableArray<BarGeometry> bars)
    {
        if (Policy is not { } policy)
        {
            return [];
        }

        PolicyErrors errors = new(policy.File);
        foreach (DeviceDefinition device in policy.Rules.Devices.Where(device => device.Source is PciSource source && source.Address == function))
        {
            DeviceOpener.CheckGeometry(device, bars, RangeList.MaxCount, errors);
        }

        return errors.Lines;
    }
}
