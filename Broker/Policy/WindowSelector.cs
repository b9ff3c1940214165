using System.Collections.Immutable;

namespace BarBroker.Policy;

/// <summary>What a grant says of windows: the name of one, or a pattern for names. Of one text and device there is one selector.</summary>
/// <param name="text">As the file writes it. In a pattern, <c>*</c> stands for any characters, also none, and <c>?</c> for one.</param>
/// <param name="windows">The device's windows that it selects, in the order of the file.</param>
internal sealed class WindowSelector(string text, ImmutableArray<Window> windows)
{
    private static readonly System.Buffers.SearchValues<char> Wildcards = System.Buffers.SearchValues.Create("*?");

    public string Text { get; } = text;

    public bool IsPattern { get; } = IsPatternText(text);

    public ImmutableArray<Window> Windows { get; } = windows;

    /// <summary>No window has one of these in its name.</summary>
    public static bool IsPatternText(string text) => text.AsSpan().ContainsAny(Wildcards);

    public bool Selects(string window) => IsPattern ? Fits(Text, window) : Text == window;

    /// <summary>The whole of <paramref name="name"/> fits <paramref name="pattern"/>; upper and lower case differ.</summary>
    public static bool Fits(string pattern, string name)
    {
        int p = 0;
        int n = 0;
        int star = -1;
        int starName = 0;
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                // Nothing, for a start.
                star = p++;
                starName = n;
            }
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == name[n]))
            {
                p++;
                n++;
            }
            else if (star >= 0)
            {
                // The last star takes a character more; those before it need not be tried again.
                p = star + 1;
                n = ++starName;
            }
            else
            {
                return false;
            }
        }

        return pattern.AsSpan(p).Trim('*').IsEmpty;
    }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
