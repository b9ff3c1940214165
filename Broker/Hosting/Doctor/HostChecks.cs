using System.Globalization;
using BarBroker.Policy;
using BarBroker.Transport;
using BarBroker.Unix;

namespace BarBroker.Hosting.Doctor;

/// <summary>What every broker needs, with hardware or without: one that this process's user starts, from here.</summary>
/// <param name="machine">Where.</param>
/// <param name="clientGroup">The group of the broker's socket.</param>
/// <param name="runtimeDirectory">Where the sockets are made; null when no policy says.</param>
internal sealed class HostChecks(Machine machine, ClientGroup clientGroup, string? runtimeDirectory)
{
    /// <summary>Descriptors on their way to clients count against the broker, besides one per connection and simulated lease.</summary>
    internal const ulong EnoughDescriptors = 65536;

    private const string HowToRaise = "LimitNOFILE= in the broker's unit, or ulimit -Hn";

    public IEnumerable<Finding> Run()
    {
        yield return CheckUserNamespace();
        yield return CheckClientGroup();
        if (runtimeDirectory is not null)
        {
            yield return CheckRuntimeDirectory(runtimeDirectory);
        }

        yield return CheckDescriptorLimit();
    }

    private Finding CheckUserNamespace()
    {
        const string Subject = "users";
        string[] map = machine.ReadLine("/proc/self/uid_map").Split(' ', StringSplitOptions.RemoveEmptyEntries);

        // A kernel without user namespaces has no maps either.
        bool hasNone = machine.Exists("/proc/self/limits") && !machine.Exists("/proc/self/uid_map");
        return hasNone || map is ["0", "0", "4294967295"]
            ? Finding.Ok(Subject, "this is the initial user namespace, so peers are who they seem")
            : Finding.Failure(Subject, "this is a user namespace of its own, where peers from outside all look like uid 65534: run the broker on the host (no PrivateUsers=, no rootless container)");
    }

    private Finding CheckClientGroup()
    {
        const string Subject = "group";
        string[] entry = machine.ReadLines("/etc/group").Select(line => line.Split(':')).FirstOrDefault(fields => fields[0] == clientGroup.Name) ?? [];
        if (clientGroup.Name is { } name && entry.Length < 3)
        {
            return Finding.Failure(Subject, $"there is no group '{name}' in /etc/group to own the broker's socket: groupadd --system {name}, or name another as clientGroup in the policy");
        }

        string shown = clientGroup.Name is null ? $"{clientGroup}" : $"{clientGroup} ({entry[2]})";
        uint? gid = clientGroup.Gid ?? (uint.TryParse(entry[2], CultureInfo.InvariantCulture, out uint number) ? number : null);
        return gid is { } group && !ProcessUser.MayGiveTo(group)
            ? Finding.Failure(Subject, $"clients are group {shown}, and a broker of this user, who is not in it, can't give it the socket: {BoundSocket.HowToJoin(group)}")
            : Finding.Ok(Subject, $"clients are group {shown}");
    }

    private Finding CheckRuntimeDirectory(string path)
    {
        const string Subject = "sockets";
        try
        {
            return RuntimeDirectory.FindObstacle(machine.PathOf(path)) is { } obstacle
                ? Finding.Failure(Subject, obstacle)
                : Finding.Ok(Subject, $"are made in {path}");
        }
        catch (IOException exception)
        {
            return Finding.Failure(Subject, $"directory {path} can't be had: {exception.Message}");
        }
    }

    private Finding CheckDescriptorLimit()
    {
        const string Subject = "descriptors";
        const string Row = "Max open files";
        string[] limits = (machine.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith(Row, StringComparison.Ordinal)) ?? Row)[Row.Length..]
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);

        // The runtime raises the soft limit to the hard one.
        if (limits is not [_, var hard, ..])
        {
            return Finding.Warning(Subject, "/proc/self/limits does not tell how many descriptors a process may have: mount /proc");
        }

        ulong limit = hard == "unlimited" ? ulong.MaxValue : ulong.TryParse(hard, CultureInfo.InvariantCulture, out ulong number) ? number : 0;
        return limit switch
        {
            >= EnoughDescriptors => Finding.Ok(Subject, $"a process started from here may have {hard}"),
            >= DescriptorReserve.LeastLimit => Finding.Warning(Subject, $"a process started from here may have {hard} descriptors, {EnoughDescriptors} are recommended: {HowToRaise}"),
            _ => Finding.Failure(Subject, $"a process started from here may have {hard} descriptors; a broker takes {DescriptorReserve.LeastLimit}, and {EnoughDescriptors} are recommended: {HowToRaise}"),
        };
    }
}
