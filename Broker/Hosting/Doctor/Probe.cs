using System.Collections.Immutable;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Unix;

namespace BarBroker.Hosting.Doctor;

/// <summary>What the doctor can only find out by doing it.</summary>
internal interface IProbe
{
    /// <summary>Opens a session of the bar_lease module.</summary>
    /// <returns>What the module says of itself.</returns>
    /// <exception cref="DeviceOpenException">It can't be opened.</exception>
    BarLeaseInfo OpenLeaseSession();

    /// <summary>Takes a function over from VFIO and gives it back; the kernel resets it where it can.</summary>
    /// <exception cref="DeviceOpenException">It can't be had.</exception>
    /// <exception cref="UnixException">The kernel refused the function itself.</exception>
    /// <exception cref="InvalidDataException">Its configuration space makes no sense.</exception>
    FunctionFacts OpenFunction(PciAddress address);
}

/// <summary>What a function has to offer.</summary>
/// <param name="CanExportDmaBuf">VFIO can export its BARs.</param>
/// <param name="Bars">Those that can be mapped.</param>
/// <param name="Route">How it is opened, and why so.</param>
internal sealed record FunctionFacts(bool CanExportDmaBuf, ImmutableArray<BarGeometry> Bars, string Route);

/// <inheritdoc/>
internal sealed class Probe : IProbe
{
    public BarLeaseInfo OpenLeaseSession()
    {
        using LeaseSession session = LeaseSession.Open();
        return session.GetInfo();
    }

    public FunctionFacts OpenFunction(PciAddress address)
    {
        using VfioRoutes routes = new(new PciSysfs());
        (VfioFunction opened, RouteChoice choice) = routes.Open(address);
        using VfioFunction function = opened;
        return new FunctionFacts(function.CanExportDmaBuf, function.ReadBars(), choice.Text);
    }
}
