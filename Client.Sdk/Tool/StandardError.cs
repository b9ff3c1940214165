using System.Runtime.InteropServices;
using System.Text;

namespace BarBroker.Tool;

/// <summary>Lines for people. Not Console's: that sets up the terminal and takes signals for itself, and both are the program's.</summary>
internal static unsafe partial class StandardError
{
    private const int Descriptor = 2;

    public static void WriteLine(string message)
    {
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes($"bar-lease: {message}\n");
        while (!rest.IsEmpty)
        {
            nint count;
            fixed (byte* start = rest)
            {
                count = Write(Descriptor, start, (nuint)rest.Length);
            }

            if (count < 0)
            {
                // There is nobody to tell.
                return;
            }

            rest = rest[(int)count..];
        }
    }

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(int descriptor, byte* bytes, nuint count);
}
