namespace BarBroker.Unix;

/// <summary>What stands at a path.</summary>
internal static class FileKind
{
    private const int TypeMask = 0xf000;
    private const int SocketType = 0xc000;

    /// <summary>There is a socket at <paramref name="path"/> itself, not behind a link.</summary>
    internal static unsafe bool IsSocket(string path)
    {
        byte* result = stackalloc byte[Libc.StatxSize];
        return Libc.StatxPath(Libc.AtWorkingDirectory, path, Libc.AtSymlinkNoFollow, Libc.StatxType, result) == 0
            && (BitConverter.ToUInt16(new ReadOnlySpan<byte>(result + Libc.StatxModeOffset, sizeof(ushort))) & TypeMask) == SocketType;
    }
}
