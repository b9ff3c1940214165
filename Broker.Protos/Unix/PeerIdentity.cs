using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Reads who is at the other end of an accepted connection. The answers are fixed at connect: ask once, keep them.</summary>
internal static unsafe class PeerIdentity
{
    private const int UsualGroups = 32;

    /// <summary>The peer's ids and groups.</summary>
    /// <exception cref="UnixException">The kernel did not say: nothing may be decided about this peer.</exception>
    internal static PeerCredentials ReadCredentials(SafeHandle socket)
    {
        Libc.Credentials credentials;
        uint length = (uint)sizeof(Libc.Credentials);
        return Libc.GetSocketOption(socket, Libc.SolSocket, Libc.SoPeerCred, &credentials, &length) == 0
            ? new PeerCredentials(credentials.Uid, credentials.Gid, ReadGroups(socket), credentials.Pid)
            : throw UnixException.FromLastError("getsockopt SO_PEERCRED");
    }

    /// <summary>
    /// A pidfd of the process that connected; null when that process is gone already. Kernels before 6.5 have no SO_PEERPIDFD: there the
    /// pid is opened, which by then may be another process's if the first one ended at once. What then gets watched outlives the
    /// connection at worst; no right is derived from it.
    /// </summary>
    /// <param name="socket">The connection.</param>
    /// <param name="pid">The process, by number.</param>
    /// <param name="isCertain">It is the process that connected, and no other that has its number now.</param>
    /// <exception cref="UnixException">The kernel gave none.</exception>
    internal static OwnedDescriptor? OpenProcess(SafeHandle socket, int pid, out bool isCertain)
    {
        int descriptor;
        uint length = sizeof(int);
        isCertain = Libc.GetSocketOption(socket, Libc.SolSocket, Libc.SoPeerPidFd, &descriptor, &length) == 0;
        if (isCertain)
        {
            return new OwnedDescriptor(descriptor);
        }

        int errno = Marshal.GetLastPInvokeError();
        if (errno == Errno.NoProtocolOption)
        {
            descriptor = Libc.PidfdOpen(pid);
            if (descriptor >= 0)
            {
                return new OwnedDescriptor(descriptor);
            }

            errno = Marshal.GetLastPInvokeError();
        }

        // A process that was reaped: ESRCH, and EINVAL from kernels that look it up as a thread-group leader.
        return errno is Errno.NoSuchProcess || (errno is Errno.InvalidArgument && pid > 0)
            ? null
            : throw new UnixException($"pidfd of process {pid}", errno);
    }

    private static ImmutableArray<uint> ReadGroups(SafeHandle socket)
    {
        uint* usual = stackalloc uint[UsualGroups];
        uint length = UsualGroups * sizeof(uint);
        if (Libc.GetSocketOption(socket, Libc.SolSocket, Libc.SoPeerGroups, usual, &length) == 0)
        {
            return [.. new ReadOnlySpan<uint>(usual, (int)(length / sizeof(uint)))];
        }

        if (Marshal.GetLastPInvokeError() != Errno.Range)
        {
            throw UnixException.FromLastError("getsockopt SO_PEERGROUPS");
        }

        // ERANGE: the kernel wrote how many bytes there are.
        uint[] many = new uint[length / sizeof(uint)];
        fixed (uint* groups = many)
        {
            return Libc.GetSocketOption(socket, Libc.SolSocket, Libc.SoPeerGroups, groups, &length) == 0
                ? ImmutableCollectionsMarshal.AsImmutableArray(many)
                : throw UnixException.FromLastError("getsockopt SO_PEERGROUPS");
        }
    }
}
