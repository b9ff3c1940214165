using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Sockets: socket(7), unix(7), sendmsg(2), recvmsg(2). Constants are those of the generic Linux ABI (x86-64, arm64, riscv64).</summary>
internal static partial class Libc
{
    internal const int SolSocket = 1;
    internal const int SoPeerCred = 17;
    internal const int SoPeerGroups = 59;
    internal const int SoPeerPidFd = 77;
    internal const int SoPassRights = 83;
    internal const int ScmRights = 1;

    internal const int MsgPeek = 0x2;
    internal const int MsgControlTruncated = 0x8;
    internal const int MsgDontWait = 0x40;
    internal const int MsgNoSignal = 0x4000;
    internal const int MsgCmsgCloseOnExec = 0x40000000;

    /// <summary>Bytes of kernel memory that hold what the peer has not read yet.</summary>
    internal const nuint SiocOutq = 0x5411;

    [LibraryImport(Library, EntryPoint = "sendmsg", SetLastError = true)]
    internal static unsafe partial nint SendMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport(Library, EntryPoint = "recvmsg", SetLastError = true)]
    internal static unsafe partial nint ReceiveMessage(SafeHandle socket, MessageHeader* message, int flags);

    [LibraryImport(Library, EntryPoint = "getsockopt", SetLastError = true)]
    internal static unsafe partial int GetSocketOption(SafeHandle socket, int level, int name, void* value, uint* length);

    [LibraryImport(Library, EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int IoctlGetInt(SafeHandle descriptor, nuint request, out int value);

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct IoVector
    {
        public void* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Credentials
    {
        public int Pid;
        public uint Uid;
        public uint Gid;
    }
}
