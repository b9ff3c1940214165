using System.Runtime.InteropServices;

namespace BarBroker.EndToEnd.Harness;

/// <summary>Whose a file is.</summary>
internal static partial class FileOwner
{
    internal static void Change(string path, int user, int group)
    {
        if (Change(path, (uint)user, (uint)group) != 0)
        {
            throw new InvalidOperationException($"chown {path}: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Change(string path, uint user, uint group);
}
