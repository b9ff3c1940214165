using BarBroker.Unix;

namespace BarBroker.Policy;

/// <summary>Reads the policy file from disk.</summary>
internal static class PolicyFile
{
    /// <summary>Ten thousands of grants fit; anything larger is not a policy.</summary>
    public const int LargestFile = 4 * 1024 * 1024;

    /// <param name="path">The file; may be a link to one, as sudo has it: who may write what it leads to is what counts.</param>
    /// <param name="mustBePrivate">Refuse a file that others than root could have written, be it the broker's own user.</param>
    /// <exception cref="PolicyException">It can't be read, or what stands in it is wrong.</exception>
    public static BrokerPolicy Load(string path, bool mustBePrivate)
    {
        byte[] text;
        try
        {
            text = ReadBytes(path, mustBePrivate);
        }
        catch (UnixException exception)
        {
            throw Refused(path, $"can't be read: {exception.Message}");
        }

        return PolicyReader.Read(text, path);
    }

    private static byte[] ReadBytes(string path, bool mustBePrivate)
    {
        // What is checked is what is read: one descriptor for both.
        using OwnedDescriptor file = Files.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking);
        FileFacts facts = Files.FactsOf(file);
        if (!facts.IsRegular)
        {
            throw Refused(path, "is no regular file.");
        }

        if (facts.Length > LargestFile)
        {
            throw Refused(path, $"has {facts.Length} bytes; a policy has at most {LargestFile}.");
        }

        if (mustBePrivate && (facts.Mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
        {
            throw Refused(path, $"can be written by others (mode {Convert.ToString((int)facts.Mode, 8)}), who could grant themselves anything: chmod go-w {path}");
        }

        if (mustBePrivate && facts.Owner != 0)
        {
            throw Refused(path, $"belongs to uid {facts.Owner}, not root, who could grant themselves anything: chown root {path}");
        }

        byte[] text = new byte[facts.Length];
        int length = 0;
        while (length < text.Length && Files.ReadAt(file, text.AsSpan(length), (ulong)length) is > 0 and int count)
        {
            length += count;
        }

        return text[..length];
    }

    private static PolicyException Refused(string path, string message) => new([new PolicyError(path, default, "", message)]);
}
