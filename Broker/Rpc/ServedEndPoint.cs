using BarBroker.Transport;

namespace BarBroker.Rpc;

/// <summary>A socket together with what is served on it: a connection knows its endpoint, and so its methods.</summary>
internal sealed class ServedEndPoint(string path, MethodTable methods) : UnixSocketEndPoint(path)
{
    internal MethodTable Methods => methods;
}
