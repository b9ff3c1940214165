using System.Runtime.InteropServices;

namespace BarBroker.Transport.Pacing;

/// <summary>The right to read from one of a user's connections; none is needed while all is well, and then there is nothing to give back.</summary>
/// <param name="pace">Gets it back.</param>
/// <param name="isSlowed">It had to be waited for because of what is owed.</param>
/// <param name="hasLeft">The peer has closed its end: what it sent before is of no use to anybody.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly struct Turn(UserPace? pace, bool isSlowed, bool hasLeft) : IDisposable
{
    private readonly UserPace? _pace = pace;

    /// <summary>There may be others that wait.</summary>
    internal bool IsTaken => _pace is not null;

    internal bool IsSlowed => isSlowed;

    internal bool HasLeft => hasLeft;

    public void Dispose() => _pace?.PassOn();
}
