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
    private readonly KernelEventSocket? _events;
    private readonly DescriptorWatcher.Registration? _registration;
    private readonly FileSystemWatcher? _nodes;

    /// <param name="logger">Where it says what it can't hear.</param>
    /// <param name="nodeDirectory">Where VFIO's nodes appear.</param>
    public VfioArrivals(ILogger logger, string nodeDirectory = NodeDirectory)
    {
        _logger = logger;
        try
        {
            _events = new KernelEventSocket();
            _registration = DescriptorWatcher.Shared.Watch(_events.Descriptor, DescriptorEvents.Readable | DescriptorEvents.Once, this);
        }
        catch (UnixException exception)
        {
            _events?.Dispose();
            _events = null;
            logger.NoKernelEvents(exception);
        }

        if (Directory.Exists(nodeDirectory))
        {
            // Attributes are owner and mode, too (IN_ATTRIB).
            _nodes = new FileSystemWatcher(nodeDirectory) { IncludeSubdirectories = true, NotifyFilter = NotifyFilters.FileName | NotifyFilters.Attributes };
            _nodes.Created += (_, _) => Changed?.Invoke();
            _nodes.Changed += (_, _) => Changed?.Invoke();
            _nodes.Error += (_, _) => Changed?.Invoke();
            _nodes.EnableRaisingEvents = true;
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

            _registration!.Arm(DescriptorEvents.Readable | DescriptorEvents.Once);
        }
        catch (Exception exception) when (exception is ObjectDisposedException or UnixException)
        {
            // Disposed meanwhile: nobody listens any more.
        }
    }

    public void Dispose()
    {
        _nodes?.Dispose();
        _registration?.Dispose();
        _events?.Dispose();
    }

    /// <summary>Takes what waits. True when some of it is about VFIO, or may have been.</summary>
    private bool ReadAll()
    {
        bool concernsUs = false;
        while (true)
        {
            try
            {
                if (_events!.Receive(_buffer) is not { } length)
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
        }
    }
}
