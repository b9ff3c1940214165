using System.Globalization;

namespace BarBroker.Devices.Vfio;

internal sealed partial class PciSysfs
{
    // What those see of a configuration space who may not see it all.
    private const int PublicConfiguration = 64;

    /// <summary>Where the function with this identity sits.</summary>
    /// <exception cref="DeviceOpenException">There is none, or more than one; the message lists what there is.</exception>
    public PciAddress Find(PciIdentity identity)
    {
        List<(PciAddress Address, PciIdentity Identity, bool IsReadable)> alike = [.. Functions().Where(function => (function.Identity.Vendor, function.Identity.Device) == (identity.Vendor, identity.Device))];
        List<(PciAddress Address, PciIdentity Identity, bool IsReadable)> found = [.. alike.Where(function => identity.Serial is null || function.Identity.Serial == identity.Serial)];
        if (found is [var one])
        {
            return one.Address;
        }

        string kind = (identity with { Serial = null }).ToString();
        if (alike.Count == 0)
        {
            string[] bound = [.. Functions().Where(function => IsBound(function.Address)).Select(function => Describe(function, withId: true))];
            throw new DeviceOpenException($"There is no PCI function {kind}: lspci -Dn lists what there is. {(bound.Length == 0 ? "Nothing is bound to vfio-pci." : $"Bound to vfio-pci are: {string.Join(", ", bound)}.")}") { IsAbsent = true };
        }

        string list = string.Join(", ", alike.Select(function => Describe(function, withId: false)));
        throw found.Count == 0
            ? new DeviceOpenException($"No PCI function is {identity}. Of {kind} there are: {list}.") { IsAbsent = true }
            : new DeviceOpenException($"{found.Count} PCI functions are {identity}: {list}. Name one of them by its {(identity.Serial is null ? "\"serial\", or by its " : "")}\"address\".");
    }

    private List<(PciAddress Address, PciIdentity Identity, bool IsReadable)> Functions()
    {
        List<(PciAddress, PciIdentity, bool)> functions = [];
        foreach (string entry in EntriesOf(Path.Combine(root, "sys/bus/pci/devices")).Order(StringComparer.Ordinal))
        {
            try
            {
                if (PciAddress.TryParse(entry, out PciAddress address))
                {
                    byte[] configuration = File.ReadAllBytes(Path.Combine(FunctionPath(address), "config"));
                    functions.Add((address, new PciIdentity(ReadId(address, "vendor"), ReadId(address, "device"), PciSerialNumber.Find(configuration)), configuration.Length > PublicConfiguration));
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException or OverflowException)
            {
                // It goes away just now.
            }
        }

        return functions;
    }

    private static string Describe((PciAddress Address, PciIdentity Identity, bool IsReadable) function, bool withId)
    {
        string serial = function switch
        {
            { Identity.Serial: { } number } => $"serial {PciIdentity.Show(number)}",
            { IsReadable: false } => "whose serial takes CAP_SYS_ADMIN to read",
            _ => "without serial",
        };
        return $"{function.Address} ({(withId ? $"{function.Identity with { Serial = null }}, " : "")}{serial})";
    }

    /// <summary>Such as <c>0x8086</c>.</summary>
    private ushort ReadId(PciAddress address, string file)
        => ushort.Parse(File.ReadAllText(Path.Combine(FunctionPath(address), file)).Trim().AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
