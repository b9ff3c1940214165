using BarBroker.Devices.Vfio;

namespace BarBroker.Hosting.Doctor;

/// <summary>What the doctor reads of the machine.</summary>
/// <param name="root">Where the file system begins; another than <c>/</c> in tests.</param>
internal sealed class Machine(string root = "/")
{
    public PciSysfs Pci { get; } = new(root);

    public RunningKernel Kernel { get; } = new(root);

    public bool Exists(string path) => Path.Exists(PathOf(path));

    /// <summary>The names in a directory; none when it is not there.</summary>
    public string[] NamesIn(string path)
        => Directory.Exists(PathOf(path)) ? [.. Directory.EnumerateFileSystemEntries(PathOf(path)).Select(entry => Path.GetFileName(entry))] : [];

    /// <summary>The lines of a file; none when it is not there or may not be read.</summary>
    public string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(PathOf(path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The first line of a file; empty when there is none.</summary>
    public string ReadLine(string path) => ReadLines(path).FirstOrDefault("").Trim();

    public UnixFileMode ModeOf(string path) => File.GetUnixFileMode(PathOf(path));

    /// <summary>Where it really is.</summary>
    public string PathOf(string path) => Path.Combine(root, path.TrimStart('/'));
}
