namespace BarBroker.Devices.Vfio;

/// <summary>
/// A way to have PCI functions from VFIO: <see cref="VfioGroupRoute"/> or <see cref="IommufdRoute"/>. What one gets is the same
/// function, which VFIO resets when it is opened and when it is closed, where it can, either way. What differs:
/// <list type="table">
/// <item><term>who else</term><description>A group belongs to one process; functions of a group that were opened with IOMMUFD,
/// to one IOMMUFD context. So all open functions of a group go one way, and VFIO refuses the other with EBUSY.</description></item>
/// <item><term>twice</term><description>A group hands a function out as often as it is asked; IOMMUFD refuses with EINVAL.</description></item>
/// <item><term>DMA</term><description>The container's address space is empty; with IOMMUFD there is none at all, as none is
/// attached, and the kernel blocks the function. It reaches no memory either way.</description></item>
/// <item><term>closing</term><description>Function, then its group when no other of it is open, then the container; with IOMMUFD
/// the function, which unbinds it, then the context. The kernel's unplug or unbind waits for the function only.</description></item>
/// </list>
/// </summary>
internal interface IVfioRoute : IDisposable
{
    /// <summary>
    /// Why the function can't be opened this way here, with the cure, as part of a sentence; null when nothing of that is in
    /// the way. Takes nothing over, so another process may still have the function.
    /// </summary>
    RouteObstacle? FindObstacle(PciAddress address);

    /// <summary>Some function of the group was opened this way, and is open still.</summary>
    bool HoldsGroup(int group);

    /// <summary>The nodes that the function is opened with.</summary>
    string Describe(PciAddress address);

    /// <summary>Takes the function over. Blocks: the kernel resets it where it can. Dispose it before this.</summary>
    /// <exception cref="DeviceOpenException">It can't be had; the message says why, and what to do.</exception>
    /// <exception cref="UnixException">The kernel refused the function itself.</exception>
    VfioFunction OpenFunction(PciAddress address);
}

/// <summary>Why a way is none.</summary>
/// <param name="Text">What is in the way, with the cure.</param>
/// <param name="OfKernel">The running kernel doesn't have this way at all.</param>
internal sealed record RouteObstacle(string Text, bool OfKernel);

/// <summary>How a function is opened, and why so.</summary>
/// <param name="Route">The way.</param>
/// <param name="Text">For people: the nodes that are used, and what is missing for the other way.</param>
internal sealed record RouteChoice(IVfioRoute Route, string Text);
