using System.Runtime.InteropServices;

namespace BarBroker.Tool;

/// <summary>C's arrays of strings, until disposed.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly List<nint> _blocks = [];

    /// <summary>An array that ends with NULL.</summary>
    public byte** Add(byte[][] strings)
    {
        byte** array = (byte**)Allocate((nuint)((strings.Length + 1) * sizeof(byte*)));
        for (int i = 0; i < strings.Length; i++)
        {
            byte* copy = Allocate((nuint)strings[i].Length + 1);
            strings[i].CopyTo(new Span<byte>(copy, strings[i].Length));
            array[i] = copy;
        }

        return array;
    }

    public void Dispose()
    {
        foreach (nint block in _blocks)
        {
            NativeMemory.Free((void*)block);
        }
    }

    private byte* Allocate(nuint size)
    {
        byte* block = (byte*)NativeMemory.AllocZeroed(size);
        _blocks.Add((nint)block);
        return block;
    }
}
