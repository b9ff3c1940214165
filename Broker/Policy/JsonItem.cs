using System.Collections.Immutable;
using System.Text.Json;

namespace BarBroker.Policy;

/// <summary>A JSON value that knows where it stands. Keeps what JsonDocument drops: positions and repeated keys.</summary>
/// <param name="At">Where the value begins.</param>
/// <param name="Path">The keys that lead to it.</param>
internal abstract record JsonItem(FilePosition At, string Path)
{
    private const int LongestShown = 60;

    /// <summary>The value as an error message shows it.</summary>
    public abstract string Shown { get; }

    protected static string Shorten(string text) => text.Length <= LongestShown ? text : string.Concat(text.AsSpan(0, LongestShown), "...");
}

/// <summary>A string, unescaped.</summary>
internal sealed record JsonText(FilePosition At, string Path, string Value) : JsonItem(At, Path)
{
    // Quoted as JSON, so that control characters of a file do not reach a terminal.
    public override string Shown => Shorten(JsonSerializer.Serialize(Value, JsonTree.ShownOptions));
}

/// <summary>A number, as it is written.</summary>
internal sealed record JsonNumber(FilePosition At, string Path, string Digits) : JsonItem(At, Path)
{
    public override string Shown => Shorten(Digits);
}

/// <summary>true or false.</summary>
internal sealed record JsonFlag(FilePosition At, string Path, bool Value) : JsonItem(At, Path)
{
    public override string Shown => Value ? "true" : "false";
}

/// <summary>null.</summary>
internal sealed record JsonNull(FilePosition At, string Path) : JsonItem(At, Path)
{
    public override string Shown => "null";
}

/// <summary>An array.</summary>
internal sealed record JsonList(FilePosition At, string Path, ImmutableArray<JsonItem> Items) : JsonItem(At, Path)
{
    public override string Shown => "an array";
}

/// <summary>An object. A key may stand in it more than once.</summary>
internal sealed record JsonMap(FilePosition At, string Path, ImmutableArray<JsonMember> Members) : JsonItem(At, Path)
{
    public override string Shown => "an object";
}

/// <summary>One key of an object.</summary>
/// <param name="Name">The key.</param>
/// <param name="At">Where the key begins.</param>
/// <param name="Value">Its value; the value's path is the key's path too.</param>
internal sealed record JsonMember(string Name, FilePosition At, JsonItem Value);
