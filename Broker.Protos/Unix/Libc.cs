using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>The libc calls of the project, one file a subject. Thin: the wrappers with meaning stand beside them.</summary>
internal static partial class Libc
{
    private const string Library = "libc";

    [LibraryImport(Library, EntryPoint = "close")]
    internal static partial int Close(int descriptor);
}
