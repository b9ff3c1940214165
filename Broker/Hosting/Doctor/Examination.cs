using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
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
    /// <summary>The policy's devices that were found, each with its function.</summary>
    private ImmutableArray<(DeviceDefinition Device, PciAddress Address)> Located { get; init; } = [];

    /// <summary>What is the matter with devices that were not found.</summary>
    private ImmutableArray<Finding> Missing { get; init; } = [];

    public static Examination Of(BrokerPolicy policy, string file, Machine machine)
    {
        List<(DeviceDefinition Device, PciAddress Address)> located = [];
        List<Finding> missing = [];
        foreach (DeviceDefinition device in policy.Devices)
        {
            try
            {
                PciAddress? found = device.Source switch
                {
                    PciSource { Address: var address } => address,
                    PciIdentitySource { Identity: var identity } => machine.Pci.Find(identity),
                    _ => null,
                };
                if (found is { } function)
                {
                    located.Add((device, function));
                }
            }
            catch (DeviceOpenException exception)
            {
                missing.Add(new Finding(Verdict.Failure, ((PciIdentitySource)device.Source).Identity.ToString()[..9], exception.Message));
            }
        }

        return new Examination([.. located.Select(static entry => entry.Address)], policy.ClientGroup, NeedsHardware: located.Count + missing.Count > 0, (policy, file))
        {
            Located = [.. located],
            Missing = [.. missing],
        };
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
            .Concat(Missing)
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
        foreach ((DeviceDefinition device, _) in Located.Where(entry => entry.Address == function))
        {
            DeviceOpener.CheckGeometry(device, bars, RangeList.MaxCount, errors);
        }

        return errors.Lines;
    }
}
