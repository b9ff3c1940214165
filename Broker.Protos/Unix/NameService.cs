namespace BarBroker.Unix;

/// <summary>Looks names up in the databases of nsswitch.conf(5).</summary>
internal static class NameService
{
    // An entry can be long, as that of a group with many members is; beyond this it is no entry but a fault.
    private const int LargestEntry = 16 * 1024 * 1024;

    /// <summary>One of the calls that end in _r: returns the error number itself, and in <paramref name="id"/> the number of what was found.</summary>
    internal unsafe delegate int Lookup(string name, byte* buffer, nuint size, out uint? id);

    /// <summary>The number of what has that name; null when there is none.</summary>
    /// <param name="call">For the message of a failure.</param>
    /// <param name="name">The name.</param>
    /// <param name="lookup">The call.</param>
    /// <exception cref="UnixException">The database can't be read.</exception>
    internal static unsafe uint? Find(string call, string name, Lookup lookup)
    {
        for (int size = 4096; ; size *= 4)
        {
            byte[] buffer = new byte[size];
            int errno;
            uint? id;
            fixed (byte* start = buffer)
            {
                errno = lookup(name, start, (nuint)size, out id);
            }

            switch (errno)
            {
                case 0:
                    return id;
                case Errno.Interrupted:
                case Errno.Range when size < LargestEntry:
                    continue;
                default:
                    throw new UnixException($"{call} {name}", errno);
            }
        }
    }
}
