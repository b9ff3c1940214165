using System.Globalization;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Where the process of a peer is: in which unit, in whose user namespace. Not fixed by the kernel at connect: asked once, then kept.</summary>
internal static class PeerPlace
{
    /// <summary>
    /// <paramref name="peer"/> with its place. What can't be found out stays unknown, and nothing is granted for it. Both are looked up by pid, and
    /// count only if the pidfd says afterwards that its process lives: until it ends, no other has its pid.
    /// </summary>
    /// <param name="peer">Whose pid <paramref name="process"/> is of.</param>
    /// <param name="process">A pidfd that the socket gave, not one that was opened by number.</param>
    /// <param name="proc">Where proc(5) is mounted.</param>
    public static PeerCredentials Find(PeerCredentials peer, OwnedDescriptor process, string proc = "/proc")
    {
        // A process of another pid namespace has no number here.
        if (peer.Pid <= 0)
        {
            return peer;
        }

        string directory = Path.Combine(proc, peer.Pid.ToString(CultureInfo.InvariantCulture));
        string? cgroups = TryRead(Path.Combine(directory, "cgroup"));
        string? theirs = NamespaceOf(directory);
        string? own = NamespaceOf(Path.Combine(proc, "self"));
        if (!IsAlive(process))
        {
            return peer;
        }

        return peer with
        {
            Unit = cgroups is null ? null : SystemdUnit.Of(cgroups),
            UserNamespace = theirs is null || own is null ? UserNamespace.Unknown : theirs == own ? UserNamespace.Own : UserNamespace.Other,
        };
    }

    /// <summary>Such as <c>user:[4026531837]</c>. Null when it may not be known: that takes what ptrace(2) takes.</summary>
    private static string? NamespaceOf(string directory) => new FileInfo(Path.Combine(directory, "ns/user")).LinkTarget;

    private static string? TryRead(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A pidfd becomes readable when its process has ended, before anybody has waited for it.</summary>
    private static unsafe bool IsAlive(OwnedDescriptor process)
    {
        const short Readable = 1;
        bool held = false;
        try
        {
            process.DangerousAddRef(ref held);
            Libc.PollEntry entry = new() { Descriptor = (int)process.DangerousGetHandle(), Events = Readable };
            return Libc.Poll(&entry, 1, 0) == 0;
        }
        finally
        {
            if (held)
            {
                process.DangerousRelease();
            }
        }
    }
}

internal static partial class Libc
{
    [LibraryImport(Library, EntryPoint = "poll")]
    internal static unsafe partial int Poll(PollEntry* entries, nuint count, int timeout);

    /// <summary>struct pollfd of poll.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct PollEntry
    {
        internal int Descriptor;
        internal short Events;
        internal short Happened;
    }
}
