using BarBroker.Unix;

namespace BarBroker.Hosting;

/// <summary>The directory that the sockets are made in. Whoever can write there can put a socket of his own in their place.</summary>
internal static class RuntimeDirectory
{
    // Clients connect, and nothing else; the directory is passed through by them.
    private const UnixFileMode Mode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>Makes it, or checks that the one that stands there is nobody else's to write.</summary>
    /// <exception cref="StartException">It is, or can't be had; the message says what to do.</exception>
    public static void Prepare(string path)
    {
        try
        {
            if (!Path.Exists(path))
            {
                // Exactly this mode: a umask of 077, usual among daemons, would keep the clients out.
                Directory.CreateDirectory(path, Mode);
                File.SetUnixFileMode(path, Mode);
            }

            Check(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"Directory {path} for the sockets can't be had: {exception.Message}", exception);
        }
    }

    /// <summary>Why the broker of this user can't have its sockets there, with the cure; null when nothing is in the way.</summary>
    /// <exception cref="IOException">The kernel does not say.</exception>
    public static string? FindObstacle(string path)
    {
        if (!Path.Exists(path))
        {
            string parent = path;
            while (!Path.Exists(parent))
            {
                parent = Path.GetDirectoryName(parent)!;
            }

            return Files.MayAddTo(parent)
                ? null
                : $"directory {path} is not there, and this user may make nothing in {parent}: make it for the broker's user, or name another as \"runtimeDirectory\" in the policy";
        }

        using OwnedDescriptor directory = Files.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking);
        return FindOwner(path, Files.FactsOf(directory))
            ?? (Files.MayAddTo(path) ? null : $"directory {path} can't be written by this user: chown it to the broker's, or name another as \"runtimeDirectory\" in the policy");
    }

    private static void Check(string path)
    {
        using OwnedDescriptor directory = Files.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking);
        if (FindOwner(path, Files.FactsOf(directory)) is { } obstacle)
        {
            throw new StartException(char.ToUpperInvariant(obstacle[0]) + obstacle[1..] + ".");
        }
    }

    /// <summary>Whose it is besides the broker's; null when it is nobody's.</summary>
    private static string? FindOwner(string path, FileFacts facts)
    {
        if (!ProcessUser.IsTrusted(facts.Owner))
        {
            return $"directory {path} belongs to uid {facts.Owner}, who could put sockets of his own in the place of the broker's: name another as \"runtimeDirectory\" in the policy";
        }

        return (facts.Mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0
            ? $"directory {path} can be written by others (mode {Convert.ToString((int)facts.Mode, 8)}), who could put sockets of their own in the place of the broker's: chmod go-w {path}, or name another as \"runtimeDirectory\" in the policy"
            : null;
    }
}
