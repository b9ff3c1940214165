using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Resource limits: getrlimit(2).</summary>
internal static partial class Libc
{
    internal const int ResourceDescriptors = 7;

    [LibraryImport(Library, EntryPoint = "getrlimit", SetLastError = true)]
    internal static partial int GetResourceLimit(int resource, out ResourceLimit limit);

    [StructLayout(LayoutKind.Sequential)]
    internal record struct ResourceLimit(ulong Current, ulong Maximum);
}
