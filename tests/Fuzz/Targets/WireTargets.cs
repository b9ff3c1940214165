using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;
using BarBroker.Grpc;

namespace BarBroker.Fuzz.Targets;

/// <summary>What gRPC has in its frames and headers.</summary>
internal static partial class WireTargets
{
    /// <summary>Low, so that short inputs reach it.</summary>
    private const int MaxMessage = 64;

    /// <summary>In whatever pieces they come, the same bytes are the same messages, or the same error at the same place.</summary>
    internal static void ReadFrames(byte[] input)
    {
        List<string> whole = ReadAll(new ReadOnlySequence<byte>(input));
        List<string> pieces = ReadAll(InSingleBytes(input));
        Demand(whole.SequenceEqual(pieces), $"In one piece: {string.Join(' ', whole)}; byte by byte: {string.Join(' ', pieces)}.");
    }

    /// <summary>It takes what the specification's grammar does, and nothing else; and what it writes means the same.</summary>
    internal static void ReadTimeout(byte[] input)
    {
        string text = Encoding.Latin1.GetString(input);
        bool read = GrpcTimeout.TryParse(text, out TimeSpan timeout);
        Demand(read == Timeout().IsMatch(text), $"'{text}' was {(read ? "taken" : "refused")}.");
        Demand(!read || (GrpcTimeout.TryParse(GrpcTimeout.Format(timeout), out TimeSpan again) && again >= timeout), $"'{text}' got shorter on its way.");
    }

    /// <summary>Anything can be decoded, each code and nothing else; what was encoded is printable, and comes back as it was.</summary>
    internal static void DecodePercent(byte[] input)
    {
        string text = Encoding.Latin1.GetString(input);
        string decoded = PercentEncoding.Decode(text);
        string bytes = Code().Replace(Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(text)), static code => $"{(char)Convert.FromHexString(code.ValueSpan[1..])[0]}");
        Demand(decoded == Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(bytes)), $"'{text}' was decoded as '{decoded}'.");
        string encoded = PercentEncoding.Encode(decoded);
        Demand(Metadata.IsValidValue(encoded), $"'{encoded}' can't stand in a header.");
        Demand(PercentEncoding.Decode(encoded) == decoded, $"'{decoded}' came back as '{PercentEncoding.Decode(encoded)}'.");
    }

    /// <summary>A list is taken whole or is no base64; what was taken is what it says.</summary>
    internal static void ReadBinaryHeader(byte[] input)
    {
        string text = Encoding.Latin1.GetString(input);
        Metadata metadata = [];
        if (BinaryHeader.TryAddTo(metadata, "x-bin", text))
        {
            string[] parts = text.Split(',');
            Demand(metadata.Count == parts.Length, $"{parts.Length} values became {metadata.Count}.");
            foreach ((string part, Metadata.Entry entry) in parts.Zip(metadata))
            {
                // The last digit may have bits that mean nothing.
                string said = part.Trim(' ').TrimEnd('=');
                string again = BinaryHeader.Encode(entry.ValueBytes);
                Demand(again.Length == said.Length && said.StartsWith(again[..^Math.Min(1, again.Length)], StringComparison.Ordinal), $"'{part}' was read as '{again}'.");
            }
        }
    }

    /// <summary>A name and a value, a NUL between them: they may stand in a header, or it is said that they may not.</summary>
    internal static void AddMetadata(byte[] input)
    {
        string text = Encoding.UTF8.GetString(input);
        int end = text.IndexOf('\0', StringComparison.Ordinal);
        (string key, string value) = end < 0 ? (text, string.Empty) : (text[..end], text[(end + 1)..]);
        Metadata metadata = [];
        try
        {
            metadata.Add(key, value);
        }
        catch (ArgumentException)
        {
            Demand(
                !Key().IsMatch(key) || key.EndsWith("-bin", StringComparison.OrdinalIgnoreCase) || value.Any(static c => c is < ' ' or > '~'),
                $"'{key}: {value}' was refused.");
            return;
        }

        Demand(Key().IsMatch(key) && metadata.GetValue(key) == value, $"'{key}' was taken.");
    }

    private static List<string> ReadAll(ReadOnlySequence<byte> buffer)
    {
        List<string> read = [];
        while (true)
        {
            long before = buffer.Length;
            FrameState state = MessageFrame.TryRead(ref buffer, MaxMessage, out ReadOnlySequence<byte> message, out uint length);
            read.Add($"{state} {length} {Convert.ToHexString(message.ToArray())}");
            if (state is not (FrameState.Message or FrameState.CompressedMessage))
            {
                Demand(buffer.Length == before, $"{state}, and it moved.");
                return read;
            }

            Demand(message.Length == length && length <= MaxMessage, $"A message of {message.Length} bytes, where the header says {length}.");
        }
    }

    private static ReadOnlySequence<byte> InSingleBytes(byte[] input)
    {
        Piece first = new(ReadOnlyMemory<byte>.Empty, 0);
        Piece last = first;
        for (int i = 0; i < input.Length; i++)
        {
            last = last.Append(input.AsMemory(i, 1));
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private static void Demand(bool holds, string complaint)
    {
        if (!holds)
        {
            throw new FuzzFault(complaint);
        }
    }

    [GeneratedRegex(@"\A[0-9]{1,8}[HMSmun]\z")]
    private static partial Regex Timeout();

    [GeneratedRegex("%[0-9A-Fa-f]{2}")]
    private static partial Regex Code();

    [GeneratedRegex(@"\A[0-9A-Za-z._-]+\z")]
    private static partial Regex Key();

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        internal Piece(ReadOnlyMemory<byte> memory, long index)
        {
            Memory = memory;
            RunningIndex = index;
        }

        internal Piece Append(ReadOnlyMemory<byte> memory)
        {
            Piece next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
