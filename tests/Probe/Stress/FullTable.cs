using System.Reflection;
using System.Runtime.InteropServices;
using BarBroker.Unix;

namespace BarBroker.Probe;

/// <summary>
/// This process's table of open descriptors, with room for a few more only, until disposed. The limit is lowered to what is open, and every
/// gap below it filled.
/// </summary>
internal sealed class FullTable : IDisposable
{
    private readonly List<int> _filling = [];
    private readonly BarBroker.Unix.Libc.ResourceLimit _before;

    /// <param name="room">How many more can be opened.</param>
    internal FullTable(int room)
    {
        LoadAssemblies();
        _ = BarBroker.Unix.Libc.GetResourceLimit(BarBroker.Unix.Libc.ResourceDescriptors, out _before);

        // Above all that are open, so that there is something to fill.
        ulong limit = Directory.GetFiles("/proc/self/fd").Max(path => ulong.Parse(Path.GetFileName(path), System.Globalization.CultureInfo.InvariantCulture)) + (ulong)room + 1;
        SetLimit(_before with { Current = limit });
        for (int descriptor = Libc.Duplicate(0); descriptor >= 0; descriptor = Libc.Duplicate(0))
        {
            _filling.Add(descriptor);
        }

        if (Marshal.GetLastPInvokeError() != Errno.TooManyFiles)
        {
            throw new InvalidOperationException($"dup: errno {Marshal.GetLastPInvokeError()}");
        }

        foreach (int descriptor in _filling.TakeLast(room))
        {
            _ = Libc.Close(descriptor);
        }

        _filling.RemoveRange(_filling.Count - room, room);
    }

    public void Dispose()
    {
        SetLimit(_before);
        _filling.ForEach(descriptor => _ = Libc.Close(descriptor));
    }

    /// <summary>All that this program may need: the runtime does not survive having to open one without a free descriptor.</summary>
    private static void LoadAssemblies()
    {
        HashSet<string> seen = [];
        Queue<Assembly> unread = new([typeof(FullTable).Assembly]);
        while (unread.TryDequeue(out Assembly? assembly))
        {
            foreach (AssemblyName name in assembly.GetReferencedAssemblies().Where(name => seen.Add(name.Name!)))
            {
                try
                {
                    unread.Enqueue(Assembly.Load(name));
                }
                catch (FileNotFoundException)
                {
                    // Packages refer to more than they bring.
                }
            }
        }
    }

    private static unsafe void SetLimit(BarBroker.Unix.Libc.ResourceLimit limit)
    {
        if (Libc.SetResourceLimit(BarBroker.Unix.Libc.ResourceDescriptors, &limit) != 0)
        {
            throw new InvalidOperationException($"setrlimit: errno {Marshal.GetLastPInvokeError()}");
        }
    }
}
