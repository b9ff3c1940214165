using System.Net.Sockets;

namespace BarBroker.Hosting;

/// <summary>Tells systemd what the daemon does (sd_notify(3)); does nothing when nobody asked to be told.</summary>
internal sealed class ServiceManager(string? socketPath, ILogger logger)
{
    /// <summary>The one that started this process, from NOTIFY_SOCKET.</summary>
    public static ServiceManager FromEnvironment(ILogger logger) => new(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), logger);

    /// <summary>Sends a state such as <c>READY=1</c>. Failing to is no reason to stop.</summary>
    public void Notify(string state)
    {
        if (string.IsNullOrEmpty(socketPath))
        {
            return;
        }

        try
        {
            // A leading @ stands for the NUL of an abstract address.
            string address = socketPath[0] == '@' ? string.Concat("\0", socketPath.AsSpan(1)) : socketPath;
            using Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTo(System.Text.Encoding.UTF8.GetBytes(state), new UnixDomainSocketEndPoint(address));
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            HostLog.NotifyFailed(logger, socketPath, state, exception.Message);
        }
    }
}
