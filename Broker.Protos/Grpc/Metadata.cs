using System.Collections;

namespace BarBroker.Grpc;

/// <summary>Custom metadata of a call: keys in lower case, values ASCII, or bytes where the key ends in <c>-bin</c>.</summary>
public sealed class Metadata : IEnumerable<Metadata.Entry>
{
    private readonly List<Entry> _entries = [];

    /// <summary>How many entries there are; a key may stand more than once.</summary>
    public int Count => _entries.Count;

    /// <summary>Adds a value of printable ASCII. <paramref name="key"/> must not end in <c>-bin</c>.</summary>
    /// <exception cref="ArgumentException">Key or value has characters that can't stand in a header.</exception>
    public void Add(string key, string value) => _entries.Add(new Entry(key, value));

    /// <summary>Adds a binary value. <paramref name="key"/> must end in <c>-bin</c>.</summary>
    public void Add(string key, byte[] value) => _entries.Add(new Entry(key, value));

    /// <summary>The last entry's text with that key, or null.</summary>
    public string? GetValue(string key) => Find(key)?.Value;

    /// <summary>The last entry's bytes with that key, or null.</summary>
    public byte[]? GetValueBytes(string key) => Find(key)?.ValueBytes;

    /// <inheritdoc/>
    public IEnumerator<Entry> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Whether <paramref name="key"/> may be one, in either case of letters.</summary>
    internal static bool IsValidKey(string key)
    {
        foreach (char c in key)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.'))
            {
                return false;
            }
        }

        return key.Length > 0;
    }

    /// <summary>Whether <paramref name="value"/> may stand in a header: printable ASCII.</summary>
    internal static bool IsValidValue(string value) => !value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private Entry? Find(string key) => _entries.FindLast(entry => string.Equals(entry.Key, key, StringComparison.OrdinalIgnoreCase));

    /// <summary>One key and its value.</summary>
    public sealed class Entry
    {
        private readonly string? _text;
        private readonly byte[]? _bytes;

        internal Entry(string key, string value)
        {
            Key = Checked(key, binary: false);
            _text = IsValidValue(value)
                ? value
                : throw new ArgumentException($"Metadata '{key}' may have only printable ASCII; for anything else use a key that ends in '-bin'.", nameof(value));
        }

        internal Entry(string key, byte[] value)
        {
            Key = Checked(key, binary: true);
            _bytes = value;
        }

        /// <summary>In lower case.</summary>
        public string Key { get; }

        /// <summary>The value is bytes.</summary>
        public bool IsBinary => _bytes is not null;

        /// <summary>The text.</summary>
        /// <exception cref="InvalidOperationException">The value is bytes.</exception>
        public string Value => _text ?? throw new InvalidOperationException($"Metadata '{Key}' is binary: read ValueBytes.");

        /// <summary>The bytes; of a text, its ASCII bytes.</summary>
        public byte[] ValueBytes => _bytes ?? System.Text.Encoding.ASCII.GetBytes(_text!);

        private static string Checked(string key, bool binary)
        {
            string lower = key.ToLowerInvariant();
            if (!IsValidKey(key))
            {
                throw new ArgumentException($"Metadata key '{key}' may have only letters, digits, '-', '_' and '.'.", nameof(key));
            }

            return lower.EndsWith("-bin", StringComparison.Ordinal) == binary
                ? lower
                : throw new ArgumentException($"Metadata key '{key}' {(binary ? "must" : "must not")} end in '-bin' for {(binary ? "bytes" : "text")}.", nameof(key));
        }
    }
}
