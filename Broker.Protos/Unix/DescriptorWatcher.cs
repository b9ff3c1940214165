using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BarBroker.Unix;

/// <summary>Hears from a <see cref="DescriptorWatcher"/>.</summary>
internal interface IDescriptorObserver
{
    /// <summary>The descriptor is ready. Runs on the watcher's one thread: hand real work on.</summary>
    void OnReady();
}

/// <summary>What to wait for.</summary>
[Flags]
internal enum DescriptorEvents : uint
{
    /// <summary>EPOLLIN.</summary>
    Readable = 0x1,

    /// <summary>EPOLLOUT.</summary>
    Writable = 0x4,

    /// <summary>EPOLLONESHOT: report once, until armed again.</summary>
    Once = 1u << 30,

    /// <summary>EPOLLET: report each wake-up, not the state.</summary>
    EdgeTriggered = 1u << 31,
}

/// <summary>
/// One thread that waits for pidfds, for full sockets, or for sockets that are to be read: .NET's own event loop takes no pidfds, and it
/// listens to every socket for both directions, so that a peer who reads wakes it up as much as one who writes. It lives as long as the
/// process does, and sleeps when nothing happens.
/// </summary>
internal sealed unsafe class DescriptorWatcher
{
    private const int EventsPerWait = 64;
    private const int WaitForever = -1;

    private static readonly Lock MakeGate = new();
    private static DescriptorWatcher? MadeShared;
    private static DescriptorWatcher? MadeReading;

    // struct epoll_event is packed on x86-64 and nowhere else.
    private static readonly int EventDataOffset = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int EventSize = EventDataOffset + sizeof(ulong);

    private readonly OwnedDescriptor _epoll;
    private readonly ConcurrentDictionary<ulong, Registration> _registrations = new();
    private ulong _lastToken;

    private DescriptorWatcher(string name)
    {
        int epoll = Libc.EpollCreate(Libc.EpollCloseOnExec);
        _epoll = epoll >= 0 ? new OwnedDescriptor(epoll) : throw UnixException.FromLastError("epoll_create1");
        new Thread(Run) { IsBackground = true, Name = name }.Start();
    }

    /// <summary>The process's one for everything but reading.</summary>
    /// <exception cref="UnixException">There is none yet, and no descriptor left to make it. The next attempt may succeed.</exception>
    internal static DescriptorWatcher Shared => Volatile.Read(ref MadeShared) ?? Make(ref MadeShared, "descriptor-watcher");

    /// <summary>That for sockets to be read: an epoll takes a descriptor once, and <see cref="Shared"/> has them when they are full.</summary>
    /// <exception cref="UnixException"><inheritdoc cref="Shared" path="/exception"/></exception>
    internal static DescriptorWatcher Reading => Volatile.Read(ref MadeReading) ?? Make(ref MadeReading, "socket-reading");

    /// <summary>
    /// Watches <paramref name="descriptor"/> until the result is disposed, which must happen before the descriptor is closed. A report
    /// that is on its way then may still arrive.
    /// </summary>
    /// <exception cref="UnixException">The kernel takes no more.</exception>
    internal Registration Watch(SafeHandle descriptor, DescriptorEvents events, IDescriptorObserver observer)
    {
        Registration registration = new(this, Interlocked.Increment(ref _lastToken), descriptor, observer);
        _registrations[registration.Token] = registration;
        try
        {
            Control(Libc.EpollAdd, registration, events);
        }
        catch
        {
            _registrations.TryRemove(registration.Token, out _);
            throw;
        }

        return registration;
    }

    private static DescriptorWatcher Make(ref DescriptorWatcher? place, string name)
    {
        lock (MakeGate)
        {
            if (place is null)
            {
                Volatile.Write(ref place, new DescriptorWatcher(name));
            }

            return place;
        }
    }

    private void Control(int operation, Registration registration, DescriptorEvents events)
    {
        byte* buffer = stackalloc byte[EventSize];
        Unsafe.WriteUnaligned(buffer, (uint)events);
        Unsafe.WriteUnaligned(buffer + EventDataOffset, registration.Token);
        if (Libc.EpollControl(_epoll, operation, registration.Descriptor, buffer) != 0)
        {
            throw UnixException.FromLastError("epoll_ctl");
        }
    }

    private void Run()
    {
        byte* events = stackalloc byte[EventsPerWait * EventSize];
        while (true)
        {
            int count = Libc.EpollWait(_epoll, events, EventsPerWait, WaitForever);
            if (count < 0 && Marshal.GetLastPInvokeError() != Errno.Interrupted)
            {
                // Nothing else can be wrong with arguments that never change; without this thread no exit would ever be seen.
                Environment.FailFast("epoll_wait failed", UnixException.FromLastError("epoll_wait"));
            }

            for (int i = 0; i < count; i++)
            {
                // By number, not by object: a registration may be gone by now.
                ulong token = Unsafe.ReadUnaligned<ulong>(events + (i * EventSize) + EventDataOffset);
                if (_registrations.TryGetValue(token, out Registration? registration))
                {
                    registration.Observer.OnReady();
                }
            }
        }
    }

    /// <summary>One descriptor under watch.</summary>
    internal sealed class Registration(DescriptorWatcher watcher, ulong token, SafeHandle descriptor, IDescriptorObserver observer) : IDisposable
    {
        internal ulong Token => token;

        internal SafeHandle Descriptor => descriptor;

        internal IDescriptorObserver Observer => observer;

        /// <summary>Waits again, after a report of a one-shot registration.</summary>
        /// <exception cref="UnixException">The kernel refused.</exception>
        internal void Arm(DescriptorEvents events) => watcher.Control(Libc.EpollModify, this, events);

        /// <summary>Ends the watch.</summary>
        public void Dispose()
        {
            if (watcher._registrations.TryRemove(token, out _))
            {
                watcher.Control(Libc.EpollDelete, this, 0);
            }
        }
    }
}
