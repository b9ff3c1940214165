namespace BarBroker.Devices.Vfio;

/// <summary>What can be known of the running kernel without opening a device.</summary>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed class RunningKernel(string root = "/")
{
    private const string ExportOption = "CONFIG_VFIO_PCI_DMABUF";
    private static readonly Version FirstWithExport = new(6, 19);

    /// <summary>As uname -r has it.</summary>
    public string Release { get; } = ReadLines(root, "proc/sys/kernel/osrelease").FirstOrDefault("").Trim();

    /// <summary>The release's first two numbers; null when it has none.</summary>
    public Version? Version
    {
        get
        {
            string[] numbers = Release.Split('.', '-', '+');
            return numbers.Length > 1 && Version.TryParse($"{numbers[0]}.{numbers[1]}", out Version? version) ? version : null;
        }
    }

    // A release without a number is not below any: Version's operators would have it so.
    private bool IsTooOld => Version is { } version && version < FirstWithExport;

    /// <summary>Why vfio-pci does not export DMABUFs, once that is known: one sentence.</summary>
    public string WhyNoExport => IsTooOld
        ? $"This kernel ({Release}) is too old: bar-broker needs Linux {FirstWithExport} or newer, whose vfio-pci exports DMABUFs ({ExportOption})."
        : $"This kernel ({Release}) is built without {ExportOption}, so its vfio-pci can't export DMABUFs: boot Linux {FirstWithExport} or newer that has it (it needs CONFIG_PCI_P2PDMA).";

    /// <summary>
    /// Why no function can be leased while this kernel runs; null when nothing is known against it. A release's number is no proof, as
    /// distributions carry features back: where it speaks against the kernel, a function that can export is right.
    /// </summary>
    /// <param name="functions">Those that are meant to be leased.</param>
    /// <param name="canExport">Opens a function and asks; false when it can't be opened.</param>
    public string? FindUnfitness(IEnumerable<PciAddress> functions, Func<PciAddress, bool> canExport)
        => SpeaksAgainstExport() && !functions.Any(canExport) ? WhyNoExport : null;

    private bool SpeaksAgainstExport()
    {
        string[] configuration = ReadLines(root, $"boot/config-{Release}");
        return IsTooOld || (configuration.Length > 0 && !configuration.Contains($"{ExportOption}=y"));
    }

    private static string[] ReadLines(string root, string path)
    {
        try
        {
            return File.ReadAllLines(Path.Combine(root, path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
