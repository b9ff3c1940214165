using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>A libc call failed; <see cref="Errno"/> says how.</summary>
public sealed class UnixException : IOException
{
    /// <param name="call">The call and what it was for, such as <c>open /dev/bar_lease</c>.</param>
    /// <param name="errno">The error number that the call left.</param>
    public UnixException(string call, int errno)
        : base($"{call}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})")
    {
        Call = call;
        Errno = errno;
    }

    /// <summary>The call that failed.</summary>
    public string Call { get; }

    /// <summary>The kernel's error number, positive.</summary>
    public int Errno { get; }

    /// <summary>The exception for the calling thread's last P/Invoke error.</summary>
    public static UnixException FromLastError(string call) => new(call, Marshal.GetLastPInvokeError());
}
