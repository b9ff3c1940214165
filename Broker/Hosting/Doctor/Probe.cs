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
    FunctionFacts OpenFunction(PciAddress address, int group);
}

/// <summary>What a function has to offer.</summary>
internal sealed record FunctionFacts(bool CanExportDmaBuf, ImmutableArray<BarGeometry> Bars);

/// <inheritdoc/>
internal sealed class Probe : IProbe
{
    public BarLeaseInfo OpenLeaseSession()
    {
        using LeaseSession session = LeaseSession.Open();
        return session.GetInfo();
    }

    public FunctionFacts OpenFunction(PciAddress address, int group)
    {
        using VfioContainer container = new();
        using VfioFunction function = container.OpenFunction(address, group);
        return new FunctionFacts(function.CanExportDmaBuf, function.ReadBars());
    }
}
