namespace BarBroker.EndToEnd.Harness;

/// <summary>The nodes by which a broker has its devices.</summary>
internal static class DeviceNodes
{
    private const UnixFileMode OpenToGroup = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>Gives a group what the rules in deploy/udev give it: the module's node, and those of the machine's functions.</summary>
    internal static void GiveTo(int group)
    {
        foreach (string node in (string[])["/dev/bar_lease", "/dev/iommu", .. PciFunction.All.SelectMany(function => function.Nodes)])
        {
            if (File.Exists(node))
            {
                FileOwner.Change(node, Users.Root, group);
                File.SetUnixFileMode(node, OpenToGroup);
            }
        }
    }
}
