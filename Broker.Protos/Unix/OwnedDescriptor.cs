using Microsoft.Win32.SafeHandles;

namespace BarBroker.Unix;

/// <summary>A file descriptor with one owner: whoever holds this object closes it, by disposing.</summary>
public sealed class OwnedDescriptor : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes over <paramref name="descriptor"/>.</summary>
    public OwnedDescriptor(int descriptor)
        : base(ownsHandle: true)
    {
        SetHandle(descriptor);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;
}
