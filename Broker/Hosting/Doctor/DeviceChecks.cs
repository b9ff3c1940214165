using System.Collections.Immutable;
using System.Globalization;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;

namespace BarBroker.Hosting.Doctor;

/// <summary>What leasing one PCI function needs.</summary>
/// <param name="machine">Where it is.</param>
/// <param name="probe">Opens it.</param>
/// <param name="address">Which.</param>
/// <param name="findMisfits">Says what does not fit its BARs.</param>
internal sealed class DeviceChecks(Machine machine, IProbe probe, PciAddress address, Func<ImmutableArray<BarGeometry>, IEnumerable<string>> findMisfits)
{
    private readonly string _subject = address.ToString();

    public IEnumerable<Finding> Run()
    {
        if (machine.Pci.FindObstacle(address) is { } obstacle)
        {
            yield return Finding.Failure(_subject, obstacle);
            yield break;
        }

        int group = machine.Pci.IommuGroupOf(address)!.Value;
        yield return Finding.Ok(_subject, $"bound to vfio-pci, in IOMMU group {group}{DescribeOthers(group)}");
        string[] nodes = [string.Create(CultureInfo.InvariantCulture, $"/dev/vfio/{group}"), $"/dev/vfio/devices/{machine.Pci.VfioDeviceOf(address)}"];
        foreach (Finding node in nodes.Select(path => NodeCheck.Run(machine, path)).OfType<Finding>())
        {
            yield return node;
        }

        foreach (Finding finding in OpenFunction())
        {
            yield return finding;
        }
    }

    private string DescribeOthers(int group)
    {
        PciAddress[] others = [.. machine.Pci.GroupMembers(group).Where(member => member != address)];
        return others.Length == 0 ? "" : $" with {string.Join(", ", others)}, which can reach each other's memory";
    }

    private List<Finding> OpenFunction()
    {
        try
        {
            FunctionFacts facts = probe.OpenFunction(address);
            return facts.CanExportDmaBuf
                ? DescribeBars(facts)
                : [Finding.UnfitKernel(_subject, machine.Kernel.WhyNoExport)];
        }
        catch (DeviceOpenException exception) when (exception.IsInUse)
        {
            return [Finding.Warning(_subject, "in use, so it was not tried; if not by a running broker, fuser -v /dev/vfio/* /dev/vfio/devices/* tells by whom")];
        }
        catch (DeviceOpenException exception)
        {
            return [Finding.Failure(_subject, exception.Message)];
        }
        catch (UnixException exception)
        {
            return [Finding.Failure(_subject, $"VFIO does not hand it out ({exception.Message}): the kernel's log may say why")];
        }
        catch (InvalidDataException exception)
        {
            return [Finding.Failure(_subject, $"it can't be leased safely, {exception.Message}: reset or replace it")];
        }
    }

    private List<Finding> DescribeBars(FunctionFacts facts)
    {
        if (facts.Bars.IsEmpty)
        {
            return [Finding.Failure(_subject, "it has no BAR that can be mapped: I/O ports and BARs below 4 KiB can't be leased")];
        }

        return
        [
            Finding.Ok(_subject, $"opened by {facts.Route}"),
            .. facts.Bars.Select(bar => Finding.Ok(
                _subject,
                string.Create(CultureInfo.InvariantCulture, $"BAR {bar.Index}: 0x{bar.Size:x} bytes")
                    + (bar.Reserved.IsEmpty ? "" : $", without {string.Join(" and ", bar.Reserved.Select(range => $"0x{range.Offset:x}+0x{range.Length:x}"))} (MSI-X)"))),
            .. findMisfits(facts.Bars).Select(misfit => Finding.Failure(_subject, misfit)),
        ];
    }
}
