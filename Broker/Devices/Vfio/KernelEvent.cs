using System.Collections.Frozen;
using System.Text;

namespace BarBroker.Devices.Vfio;

/// <summary>One of the kernel's device events: <c>ACTION@PATH</c>, then <c>KEY=VALUE</c>s, each ended by a NUL (kobject_uevent_env).</summary>
/// <param name="Action">add, remove, bind, unbind, ...</param>
/// <param name="Subsystem">pci, vfio, ...</param>
/// <param name="PciSlot">Of a PCI function: its address as sysfs writes it.</param>
internal sealed record KernelEvent(string Action, string Subsystem, string? PciSlot)
{
    /// <summary>More than the kernel ever sends (UEVENT_BUFFER_SIZE, and the path before it).</summary>
    public const int MaxLength = 8192;

    private static readonly FrozenSet<string> Ours = FrozenSet.Create("pci", "vfio", "vfio-dev");

    /// <summary>Something that VFIO could give out may have come, or become ready to be opened.</summary>
    public bool ConcernsVfio => Ours.Contains(Subsystem);

    /// <summary>Reads a message; null for one that is no event.</summary>
    public static KernelEvent? Parse(ReadOnlySpan<byte> message)
    {
        string[] lines = Encoding.UTF8.GetString(message).Split('\0');
        if (!lines[0].Contains('@', StringComparison.Ordinal))
        {
            return null;
        }

        string? action = null, subsystem = null, slot = null;
        foreach (string line in lines.AsSpan(1))
        {
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            switch (equals < 0 ? "" : line[..equals])
            {
                case "ACTION":
                    action = line[(equals + 1)..];
                    break;
                case "SUBSYSTEM":
                    subsystem = line[(equals + 1)..];
                    break;
                case "PCI_SLOT_NAME":
                    slot = line[(equals + 1)..];
                    break;
                default:
                    break;
            }
        }

        return action is null || subsystem is null ? null : new KernelEvent(action, subsystem, slot);
    }
}
