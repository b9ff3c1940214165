using BarBroker.Unix;

namespace BarBroker.Devices.Vfio;

/// <summary>
/// Hears from the kernel when PCI functions are bound, and sees when VFIO's nodes appear or change hands: udev gives them to their
/// group some time after the kernel has made them. Sleeps in between.
/// </summary>
internal sealed class VfioArrivals : IDescriptorObserver, IThreadPoolWorkItem, IDisposable
{
    public const string NodeDirectory = "/dev/vfio";

    private readonly byte[] _buffer = new byte[KernelEvent.MaxLength];
    private readonly ILogger _logger;
    private readonly IKernelEvents? _events;
    private readonly DescriptorWatcher.Registration? _registration;
    private readonly IDisposable? _nodes;
    private bool _failing;

    /// <param name="logger">Where it says what it can't hear.</param>
    /// <param name="nodeDirectory">Where VFIO's nodes appear.</param>
    public VfioArrivals(ILogger logger, string nodeDirectory = NodeDirectory)
        : this(logger, () => new KernelEventSocket(), changed => WatchNodes(nodeDirectory, changed))
    {
    }

    /// <param name="logger">Where it says what it can't hear.</param>
    /// <param name="openEvents">Where the kernel is heard.</param>
    /// <param name="watchNodes">Has its argument called when a node changes, until the result is disposed; null when there are none.</param>
    internal VfioArrivals(ILogger logger, Func<IKernelEvents> openEvents, Func<Action, IDisposable?> watchNodes)
    {
        _logger = logger;
        try
        {
            // Not armed before the registration is known here, where the first event asks for it.
            _events = openEvents();
            _registration = DescriptorWatcher.Shared.Watch(_events.Descriptor, DescriptorEvents.Once, this);
            _registration.Arm(DescriptorEvents.Readable | DescriptorEvents.Once);
        }
        catch (UnixException exception)
        {
            _registration?.Dispose();
            _registration = null;
            _events?.Dispose();
            _events = null;
            logger.NoKernelEvents(exception);
        }

        try
        {
            _nodes = watchNodes(() => Changed?.Invoke());
        }
        catch (IOException exception)
        {
            logger.NoNodeEvents(exception);
        }
    }

    /// <summary>It may be worth while to look for devices that are gone. Said too often rather than too seldom. On any thread.</summary>
    public event Action? Changed;

    void IDescriptorObserver.OnReady() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            if (ReadAll())
            {
                Changed?.Invoke();
            }

            _registration?.Arm(DescriptorEvents.Readable | DescriptorEvents.Once);
        }
        catch (ObjectDisposedException)
        {
            // Nobody listens any more.
        }
        catch (UnixException exception)
        {
            // Arming fails for a registration that was disposed meanwhile, and for nothing else.
            _logger.KernelEventsEnded(exception);
        }
    }

    public void Dispose()
    {
        _nodes?.Dispose();
        _registration?.Dispose();
        _events?.Dispose();
    }

    private static FileSystemWatcher? WatchNodes(string directory, Action changed)
    {
        if (!Directory.Exists(directory))
        {
            return null;
        }

        // Attributes are owner and mode, too (IN_ATTRIB).
        FileSystemWatcher nodes = new(directory) { IncludeSubdirectories = true, NotifyFilter = NotifyFilters.FileName | NotifyFilters.Attributes };
        try
        {
            nodes.Created += (_, _) => changed();
            nodes.Changed += (_, _) => changed();
            nodes.Error += (_, _) => changed();
            nodes.EnableRaisingEvents = true;
            return nodes;
        }
        catch
        {
            nodes.Dispose();
            throw;
        }
    }

    /// <summary>Takes what waits. True when some of it is about VFIO, or may have been.</summary>
    private bool ReadAll()
    {
        bool concernsUs = false;
        while (true)
        {
            try
            {
                int? received = _events!.Receive(_buffer);
                _failing = false;
                if (received is not { } length)
                {
                    return concernsUs;
                }

                concernsUs |= KernelEvent.Parse(_buffer.AsSpan(0, length)) is { ConcernsVfio: true };
            }
            catch (UnixException exception) when (exception.Errno == Errno.NoBuffers)
            {
                _logger.KernelEventsLost();
                concernsUs = true;
            }
            catch (UnixException exception)
            {
                // Said once, since it may go on: the socket stays readable, so that this is tried again at once.
                if (!_failing)
                {
                    _logger.KernelEventsFailed(exception);
                }

                _failing = true;
                return true;
            }
        }
    }
}
