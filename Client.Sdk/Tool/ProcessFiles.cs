using System.Globalization;
using System.Text;

namespace BarBroker.Tool;

/// <summary>
/// What this process was started with, as bytes: the runtime's strings would lose what is no UTF-8, and the program is to get all of it.
/// </summary>
internal static class ProcessFiles
{
    /// <summary>The last words of the command line.</summary>
    /// <param name="expected">As the runtime has them, with what is no UTF-8 replaced.</param>
    /// <exception cref="FailureException">They are others: options stood between or behind them.</exception>
    public static byte[][] ReadArguments(IReadOnlyList<string> expected)
    {
        byte[][] words = ReadWords("/proc/self/cmdline")[^expected.Count..];
        return words.Select(Encoding.UTF8.GetString).SequenceEqual(expected, StringComparer.Ordinal)
            ? words
            : throw new FailureException(ExitCodes.Failure, $"What belongs to '{expected[0]}' can't be told: put -- before the program, and the options of bar-lease before that.");
    }

    /// <summary>The environment's entries, NAME=VALUE.</summary>
    public static byte[][] ReadEnvironment() => ReadWords("/proc/self/environ");

    /// <summary>The signals that whoever started this process had it ignore; bit n - 1 is signal n. SIGPIPE, which the runtime ignores, is not among them.</summary>
    public static ulong ReadIgnoredSignals()
    {
        const string Key = "SigIgn:";
        const ulong Pipe = 1UL << 12;
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(Key, StringComparison.Ordinal));
        return ulong.Parse(line.AsSpan(Key.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & ~Pipe;
    }

    private static byte[][] ReadWords(string path)
    {
        byte[] content = File.ReadAllBytes(path);
        List<byte[]> words = [];
        int start = 0;
        for (int end; (end = Array.IndexOf(content, (byte)0, start)) >= 0; start = end + 1)
        {
            words.Add(content[start..end]);
        }

        return [.. words];
    }
}
