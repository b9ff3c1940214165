using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// Another process's open file, by pidfd_getfd(2): the same open file, not another one of the same name. Dispose at once
/// what the process's death has to close: the borrower's reference would keep it open.
/// </summary>
internal static partial class BorrowedDescriptor
{
    /// <param name="process">Whose.</param>
    /// <param name="name">What /proc/PID/fd shows for it.</param>
    internal static SafeFileHandle Of(int process, string name)
    {
        string link = Directory.GetFiles($"/proc/{process}/fd").FirstOrDefault(descriptor => new FileInfo(descriptor).LinkTarget == name)
            ?? throw new InvalidOperationException($"Process {process} has no '{name}' open.");
        return Of(process, int.Parse(Path.GetFileName(link), CultureInfo.InvariantCulture));
    }

    /// <param name="process">Whose.</param>
    /// <param name="number">Its number there.</param>
    internal static SafeFileHandle Of(int process, int number)
    {
        using SafeFileHandle handle = Checked(OpenProcess(process, 0), "pidfd_open");
        return Checked(GetDescriptor(handle, number, 0), "pidfd_getfd");
    }

    private static SafeFileHandle Checked(SafeFileHandle handle, string call)
    {
        return handle.IsInvalid ? throw new InvalidOperationException($"{call}: errno {Marshal.GetLastPInvokeError()}") : handle;
    }

    [LibraryImport("libc", EntryPoint = "pidfd_open", SetLastError = true)]
    private static partial SafeFileHandle OpenProcess(int process, uint flags);

    [LibraryImport("libc", EntryPoint = "pidfd_getfd", SetLastError = true)]
    private static partial SafeFileHandle GetDescriptor(SafeFileHandle process, int descriptor, uint flags);
}
