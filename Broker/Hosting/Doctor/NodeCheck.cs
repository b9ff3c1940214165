namespace BarBroker.Hosting.Doctor;

/// <summary>Device nodes are the broker's alone: whoever opens them needs no lease.</summary>
internal static class NodeCheck
{
    private const UnixFileMode Others = UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <returns>What is wrong with the node; null when nothing is, or when it is not there.</returns>
    public static Finding? Run(Machine machine, string path)
        => machine.Exists(path) && (machine.ModeOf(path) & Others) != 0
            ? Finding.Failure("access", $"{path} is open to everybody, past every policy: chmod o-rw {path}, and see which udev rule made it so")
            : null;
}
