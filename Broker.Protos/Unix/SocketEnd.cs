using System.Net.Sockets;

namespace BarBroker.Unix;

/// <summary>The end of a connection, before its descriptor is closed.</summary>
internal static class SocketEnd
{
    /// <summary>Ends both directions, and by that every wait on the socket, here and at the peer. One that the peer has ended already is no error.</summary>
    internal static void ShutDown(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
            // The peer was faster.
        }
    }
}
