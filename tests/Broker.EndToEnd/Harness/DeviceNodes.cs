using System.Runtime.InteropServices;

namespace BarBroker.EndToEnd.Harness;

/// <summary>The nodes by which a broker has its devices.</summary>
internal static partial class DeviceNodes
{
    private const UnixFileMode OpenToGroup = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    /// <summary>Gives a group what the rules in deploy/udev give it: the module's node, and those of the machine's functions.</summary>
    internal static void GiveTo(int group)
    {
        foreach (string node in (string[])["/dev/bar_lease", "/dev/iommu", .. PciFunction.All.SelectMany(function => function.Nodes)])
        {
            if (File.Exists(node))
            {
                ChangeOwner(node, Users.Root, group);
                File.SetUnixFileMode(node, OpenToGroup);
            }
        }
    }

    internal static void ChangeOwner(string path, int user, int group)
    {
        if (ChangeOwner(path, (uint)user, (uint)group) != 0)
        {
            throw new InvalidOperationException($"chown {path}: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);
}
