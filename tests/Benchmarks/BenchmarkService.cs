using BarBroker.Benchmarks.Calls;
using BarBroker.Rpc;
using BarBroker.Unix;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace BarBroker.Benchmarks;

/// <summary>What the benchmarks call: handlers that do next to nothing, so that what is measured is the stack below them.</summary>
internal sealed class BenchmarkService : IGrpcService, IDisposable
{
    private readonly OwnedDescriptor _file = MemFd.Create("benchmark");
    private readonly ulong _inode;

    internal BenchmarkService()
    {
        _inode = Files.InodeOf(_file);
    }

    public ServiceDescriptor Descriptor => BenchmarkReflection.Descriptor.Services[0];

    public void Bind(IServiceBinder binder)
    {
        binder.Unary<Empty, Empty>("EmptyCall", static (request, _) => Task.FromResult(request));
        binder.Unary<Empty, SentDescriptor>("TakeDescriptor", TakeDescriptorAsync);
        binder.Unary<Empty, Allocated>("GetAllocated", static (_, _) =>
            Task.FromResult(new Allocated { Bytes = (ulong)GC.GetTotalAllocatedBytes(precise: true) }));
    }

    public void Dispose() => _file.Dispose();

    /// <summary>What is sent is given away: each call has a duplicate of its own.</summary>
    private Task<SentDescriptor> TakeDescriptorAsync(Empty request, ServerCallContext context)
    {
        const int DuplicateCloseOnExec = 1030;
        int duplicate = Libc.Control(_file, DuplicateCloseOnExec, 0);
        if (duplicate < 0)
        {
            throw UnixException.FromLastError("fcntl F_DUPFD_CLOEXEC");
        }

        return Task.FromResult(new SentDescriptor { Serial = context.Connection.QueueDescriptor(new OwnedDescriptor(duplicate)), Inode = _inode });
    }
}
