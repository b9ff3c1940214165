using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace BarBroker.Policy;

/// <summary>Reads JSON with comments and trailing commas into <see cref="JsonItem"/>s.</summary>
internal ref struct JsonTree
{
    /// <summary>For showing a string of the file in a message.</summary>
    public static readonly JsonSerializerOptions ShownOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ReadOnlySpan<byte> _text;
    private readonly PolicyErrors _errors;
    private Utf8JsonReader _reader;
    private FilePosition _position = new(1, 1);
    private int _positionOffset;

    private JsonTree(ReadOnlySpan<byte> text, PolicyErrors errors)
    {
        _text = text;
        _errors = errors;
        _reader = new Utf8JsonReader(text, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
    }

    /// <summary>The file's one value; null when it is no JSON, with an error that says where it stops being any.</summary>
    public static JsonItem? Read(ReadOnlySpan<byte> text, PolicyErrors errors)
    {
        JsonTree tree = new(text, errors);
        try
        {
            tree._reader.Read();
            JsonItem root = tree.ReadItem("");

            // Anything but comments after it throws.
            tree._reader.Read();
            return root;
        }
        catch (JsonException exception)
        {
            errors.Add(PositionOf(exception, text), "", $"this is not JSON: {Sentence(exception)}");
            return null;
        }
    }

    /// <summary>Where the reader is. Counts on from the last place: from the start each time, a large file would take minutes.</summary>
    private FilePosition Here()
    {
        int offset = (int)_reader.TokenStartIndex;
        _position = _position.After(_text[_positionOffset..offset]);
        _positionOffset = offset;
        return _position;
    }

    private JsonItem ReadItem(string path) => _reader.TokenType switch
    {
        JsonTokenType.StartObject => ReadMap(path),
        JsonTokenType.StartArray => ReadList(path),
        JsonTokenType.String => new JsonText(Here(), path, ReadText(path)),
        JsonTokenType.Number => new JsonNumber(Here(), path, System.Text.Encoding.UTF8.GetString(_reader.ValueSpan)),
        JsonTokenType.True or JsonTokenType.False => new JsonFlag(Here(), path, _reader.TokenType == JsonTokenType.True),
        _ => new JsonNull(Here(), path),
    };

    private JsonMap ReadMap(string path)
    {
        FilePosition at = Here();
        ImmutableArray<JsonMember>.Builder members = ImmutableArray.CreateBuilder<JsonMember>();
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndObject)
        {
            FilePosition nameAt = Here();
            string name = ReadText(path);
            _reader.Read();
            members.Add(new JsonMember(name, nameAt, ReadItem(Join(path, name))));
        }

        return new JsonMap(at, path, members.DrainToImmutable());
    }

    private JsonList ReadList(string path)
    {
        FilePosition at = Here();
        ImmutableArray<JsonItem>.Builder items = ImmutableArray.CreateBuilder<JsonItem>();
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            items.Add(ReadItem($"{path}[{items.Count}]"));
        }

        return new JsonList(at, path, items.DrainToImmutable());
    }

    private string ReadText(string path)
    {
        try
        {
            return _reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            _errors.Add(Here(), path, "this string is no valid Unicode: it has bytes that are not UTF-8, or half of a surrogate pair.");
            return "";
        }
    }

    private static string Join(string path, string name)
    {
        bool plain = name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
        return (plain, path.Length) switch
        {
            (true, 0) => name,
            (true, _) => $"{path}.{name}",
            _ => $"{path}[{JsonSerializer.Serialize(name, ShownOptions)}]",
        };
    }

    private static FilePosition PositionOf(JsonException exception, ReadOnlySpan<byte> text)
    {
        int line = (int)(exception.LineNumber ?? 0);
        int start = 0;
        for (int i = 0; i < line; i++)
        {
            start += text[start..].IndexOf((byte)'\n') + 1;
        }

        return FilePosition.Of(text, start + (int)(exception.BytePositionInLine ?? 0));
    }

    private static string Sentence(JsonException exception)
    {
        // The runtime appends its own, 0-based position.
        if (exception.Message.StartsWith("The input does not contain any JSON tokens", StringComparison.Ordinal))
        {
            return "there is nothing in it. Write an object with \"devices\" and \"grants\".";
        }

        int end = exception.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return end < 0 ? exception.Message : exception.Message[..end];
    }
}
