using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>
/// Descriptors that nobody gets. The runtime opens a pipe for every thread that it starts, and when it gets none on its pool, where nobody can
/// catch that, it ends the process ("Out of memory."): a broker whose table is full may die of the next call. So whatever a client has the broker
/// open is closed again, and refused, before it comes to that.
/// </summary>
internal static class DescriptorReserve
{
    /// <summary>The two of a pipe for each of 64 threads: more than the pool starts at once, and than what calls under way open before they look here.</summary>
    internal const int Size = 128;

    /// <summary>Admins may connect when clients no longer can.</summary>
    internal const int SizeForAdmins = Size / 2;

    /// <summary>With less there is hardly anything left for clients: the program has some 70 open itself.</summary>
    internal const ulong LeastLimit = 512;

    /// <summary>
    /// Whether what was just opened is to be closed again: the kernel gives the lowest number that is free, so one among the last of the table
    /// says that all others are taken.
    /// </summary>
    /// <exception cref="UnixException">The kernel does not say how many there may be.</exception>
    internal static bool IsTouchedBy(SafeHandle newest, int size = Size) => (ulong)newest.DangerousGetHandle() + (ulong)size >= DescriptorTable.GetLimit();
}
