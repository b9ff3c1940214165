using BarBroker.Unix;

namespace BarBroker.Tests.Grpc;

/// <summary>Descriptors that are each a file of their own, and a count of those that this process has open on such files.</summary>
internal static class TestDescriptors
{
    private const string Marker = "bar-broker-test";

    /// <summary>A fresh file, in memory: the inode of one on a disk may be another test's as soon as it is closed.</summary>
    internal static OwnedDescriptor Create() => MemFd.Create(Marker);

    /// <summary>How many of this process's descriptors are files with one of <paramref name="inodes"/>.</summary>
    internal static int CountOpen(IReadOnlySet<ulong> inodes)
    {
        int count = 0;
        foreach (string entry in Directory.GetFiles("/proc/self/fd"))
        {
            if (!int.TryParse(Path.GetFileName(entry), out int number)
                || new FileInfo(entry).LinkTarget?.StartsWith("/memfd:" + Marker, StringComparison.Ordinal) != true)
            {
                continue;
            }

            // Borrowed, not owned.
            OwnedDescriptor borrowed = new(number);
            try
            {
                count += inodes.Contains(Files.InodeOf(borrowed)) ? 1 : 0;
            }
            catch (UnixException)
            {
                // Closed since the directory was read.
            }
            finally
            {
                borrowed.SetHandleAsInvalid();
            }
        }

        return count;
    }
}
