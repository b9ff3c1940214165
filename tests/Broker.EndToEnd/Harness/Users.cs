namespace BarBroker.EndToEnd.Harness;

/// <summary>The unprivileged users of the scenarios. They need no entry in /etc/passwd.</summary>
internal static class Users
{
    internal const int Root = 0;
    internal const int Alice = 1001;
    internal const int Bob = 1002;
    internal const int Carol = 1003;
    internal const int Dave = 1004;
    internal const int Erin = 1005;

    /// <summary>A broker that isn't root.</summary>
    internal const int Broker = 2002;

    /// <summary>Its other group, to which udev gives the device nodes.</summary>
    internal const int BrokerGroup = 2002;

    /// <summary>The group of broker.sock, and the only one that clients are in.</summary>
    internal const int ClientGroup = 2900;
}
