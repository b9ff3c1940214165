using System.Net.Sockets;
using BarBroker.Unix;

namespace BarBroker.Transport;

/// <summary>A listening socket, and the lock which says that the path is ours.</summary>
internal sealed class BoundSocket : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly FileStream? _claim;

    private BoundSocket(Socket socket, FileStream? claim)
    {
        Socket = socket;
        _claim = claim;
    }

    internal Socket Socket { get; }

    /// <summary>Listens on an endpoint's path, or takes over the socket that it inherited.</summary>
    /// <exception cref="IOException">It can't; the message says why, and what to do.</exception>
    internal static BoundSocket Create(UnixSocketEndPoint endpoint)
    {
        if (endpoint.Inherited is { } inherited)
        {
            RefuseDescriptors(inherited);
            return new BoundSocket(inherited, claim: null);
        }

        UnixDomainSocketEndPoint address = ParseAddress(endpoint.Path);
        FileStream claim = Claim(endpoint.Path);
        Socket? socket = null;
        try
        {
            RemoveStale(endpoint.Path, address);
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            Listen(socket, endpoint, address);
            return new BoundSocket(socket, claim);
        }
        catch (Exception exception)
        {
            socket?.Dispose();
            claim.Dispose();
            if (exception is SocketException or UnauthorizedAccessException)
            {
                throw new IOException($"Can't listen on {endpoint.Path}: {exception.Message}.", exception);
            }

            throw;
        }
    }

    /// <summary>Stops listening; removes the socket from the file system if it was made here.</summary>
    public void Dispose()
    {
        Socket.Dispose();
        _claim?.Dispose();
    }

    private static UnixDomainSocketEndPoint ParseAddress(string path)
    {
        try
        {
            return new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentOutOfRangeException exception)
        {
            throw new IOException($"Can't listen on '{path}': the path of a Unix socket has 1 to 107 bytes. Choose a shorter directory.", exception);
        }
    }

    /// <summary>
    /// Two brokers that start at once could each take the other's fresh socket for a stale one. The lock file stays behind on purpose:
    /// removing it would let a third lock a file that nobody sees any more.
    /// </summary>
    private static FileStream Claim(string path)
    {
        string lockPath = path + ".lock";
        try
        {
            return new FileStream(lockPath, new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = OwnerOnly,
            });
        }
        catch (DirectoryNotFoundException exception)
        {
            throw new IOException($"Can't listen on {path}: its directory does not exist. Make it, or name another one.", exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new IOException($"Can't listen on {path}: {lockPath} can't be written. The directory must belong to the broker.", exception);
        }
        catch (IOException exception)
        {
            throw new IOException($"Can't listen on {path}: another broker holds {lockPath}. Stop it, or choose another directory.", exception);
        }
    }

    private static void RemoveStale(string path, UnixDomainSocketEndPoint address)
    {
        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

        // Not blocking: a live server whose backlog is full would make connect wait.
        probe.Blocking = false;
        try
        {
            probe.Connect(address);
        }
        catch (SocketException exception)
        {
            switch (exception.SocketErrorCode)
            {
                case SocketError.ConnectionRefused when Files.IsSocket(path):
                    File.Delete(path);
                    return;
                case SocketError.ConnectionRefused:
                    throw new IOException($"Can't listen on {path}: something that is no socket stands there. Remove it, or choose another directory.", exception);
                case SocketError.AddressNotAvailable or SocketError.HostNotFound when !Path.Exists(path):
                    return;
                case SocketError.WouldBlock:
                    break;
                default:
                    if (!Path.Exists(path))
                    {
                        return;
                    }

                    throw new IOException($"Can't listen on {path}: it exists, and whether it is in use can't be told ({exception.Message}).", exception);
            }
        }

        throw new IOException($"Can't listen on {path}: a live process does already. Stop it, or choose another directory.");
    }

    /// <summary>
    /// Until it listens nobody can connect, so the order makes it safe: closed to others from the first moment, then the group, then the
    /// mode. The mode given to the unbound socket passes through the umask, and its group through nothing at all: hence by path.
    /// </summary>
    private static void Listen(Socket socket, UnixSocketEndPoint endpoint, UnixDomainSocketEndPoint address)
    {
        RefuseDescriptors(socket);
        Files.SetMode(socket.SafeHandle, OwnerOnly);
        socket.Bind(address);
        if (endpoint.Group is { } group)
        {
            GiveTo(group, endpoint.Path);
        }

        File.SetUnixFileMode(endpoint.Path, endpoint.Mode);
        socket.Listen(TransportLimits.Backlog);
    }

    /// <summary>What makes the broker's user one who may give its socket to the group.</summary>
    internal static string HowToJoin(uint group) =>
        $"usermod --append --groups {group} {Environment.UserName}, and sign in again (SupplementaryGroups={group} in the broker's unit), or run the broker as root";

    private static void GiveTo(uint group, string path)
    {
        try
        {
            Files.SetGroup(path, group);
        }
        catch (UnixException exception) when (exception.Errno == Errno.NotPermitted)
        {
            throw new IOException($"Can't give {path} to group {group}: the broker's user is not in it. Do this: {HowToJoin(group)}.", exception);
        }
    }

    /// <summary>
    /// No client has a descriptor to send, and dropping one is its last close, in this process, which can take as long as the client has
    /// arranged: a TCP socket lingers. Connections take this from the socket that they are made to; sendmsg fails with EPERM. Kernels before 6.16
    /// don't have it: there such a client holds up the thread that reads from it.
    /// </summary>
    private static void RefuseDescriptors(Socket listener)
    {
        try
        {
            listener.SetRawSocketOption(Libc.SolSocket, Libc.SoPassRights, BitConverter.GetBytes(0));
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ProtocolOption)
        {
            // An older kernel.
        }
    }
}
