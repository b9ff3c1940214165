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

    private static void Check(string path)
    {
        using OwnedDescriptor directory = Files.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking);
        FileFacts facts = Files.FactsOf(directory);
        if (!ProcessUser.IsTrusted(facts.Owner))
        {
            throw new StartException(
                $"Directory {path} belongs to uid {facts.Owner}, who could put sockets of his own in the place of the broker's. Name another as \"runtimeDirectory\" in the policy.");
        }

        if ((facts.Mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
        {
            throw new StartException(
                $"Directory {path} can be written by others (mode {Convert.ToString((int)facts.Mode, 8)}), who could put sockets of their own in the place of the broker's: chmod go-w {path}, or name another as \"runtimeDirectory\" in the policy.");
        }
    }
}
