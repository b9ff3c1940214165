namespace BarBroker.Policy;

/// <summary>One thing that is wrong in a policy file.</summary>
/// <param name="File">The file, as it was named to the broker.</param>
/// <param name="At">Where in it; the default for the file as such.</param>
/// <param name="KeyPath">The key in question, such as <c>grants[0].uid</c>; empty for the file as a whole.</param>
/// <param name="Message">What was found, and what would be right.</param>
internal sealed record PolicyError(string File, FilePosition At, string KeyPath, string Message)
{
    /// <summary>In the form that editors jump to.</summary>
    public override string ToString()
        => (At.Line, KeyPath.Length) switch
        {
            (0, _) => $"{File}: {Message}",
            (_, 0) => $"{File}:{At.Line}:{At.Column}: {Message}",
            _ => $"{File}:{At.Line}:{At.Column}: {KeyPath}: {Message}",
        };
}

/// <summary>The policy can't be used. There is no policy then: the broker does not start with half of one.</summary>
internal sealed class PolicyException(IReadOnlyList<PolicyError> errors)
    : Exception(string.Join(Environment.NewLine, errors))
{
    /// <summary>All that is wrong, in the order of the file. At least one.</summary>
    public IReadOnlyList<PolicyError> Errors { get; } = errors;
}

/// <summary>Collects errors, so that one run of <c>check</c> shows them all.</summary>
internal sealed class PolicyErrors(string file)
{
    private readonly List<PolicyError> _errors = [];
    private readonly HashSet<string> _series = new(StringComparer.Ordinal);

    public bool Any => _errors.Count > 0;

    /// <summary>Each as it is shown, in the order in which they were found.</summary>
    public IEnumerable<string> Lines => _errors.Select(static error => error.ToString());

    public void Add(FilePosition at, string keyPath, string message) => _errors.Add(new PolicyError(file, at, keyPath, message));

    public void Add(JsonItem item, string message) => Add(item.At, item.Path, message);

    /// <summary>Of a series, only what is wrong with the first window that something is wrong with.</summary>
    public void Add(Window window, string message)
    {
        if (!window.IsOfSeries)
        {
            Add(window.At, window.KeyPath, message);
        }
        else if (_series.Add(window.KeyPath))
        {
            Add(window.At, window.KeyPath, $"of '{window.Name}': {message}");
        }
    }

    public void Add(IEnumerable<PolicyError> errors) => _errors.AddRange(errors);

    public void ThrowIfAny()
    {
        if (Any)
        {
            throw new PolicyException([.. _errors.OrderBy(error => error.At.Line).ThenBy(error => error.At.Column)]);
        }
    }
}
