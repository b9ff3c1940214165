using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>Which numbers the names of users and groups have.</summary>
internal interface IAccounts
{
    /// <summary>Null when there is no such user.</summary>
    /// <exception cref="UnixException">That can't be found out.</exception>
    uint? FindUid(string name);

    /// <summary>Null when there is no such group.</summary>
    /// <exception cref="UnixException">That can't be found out.</exception>
    uint? FindGid(string name);
}

/// <summary>Those of this machine.</summary>
internal sealed class MachineAccounts : IAccounts
{
    public static MachineAccounts Instance { get; } = new();

    /// <inheritdoc/>
    public uint? FindUid(string name) => Users.FindUid(name);

    /// <inheritdoc/>
    public uint? FindGid(string name) => Groups.FindGid(name);
}
