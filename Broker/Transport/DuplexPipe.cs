using System.IO.Pipelines;

namespace BarBroker.Transport;

/// <summary>One end of a pair of pipes.</summary>
internal sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
{
    public PipeReader Input { get; } = input;

    public PipeWriter Output { get; } = output;

    /// <summary>
    /// Kestrel's end and the transport's. The transport's continuations run inline: its loops only make system calls that never block.
    /// Kestrel copies what it reads into a pipe of its own, whose reader goes on on the pool: the copying goes on where bytes were received, on a thread
    /// of the pool too, which has nothing else to do meanwhile. Its writers go on on the pool.
    /// </summary>
    internal static (IDuplexPipe Kestrel, IDuplexPipe Transport) CreatePair()
    {
        Pipe input = new(new PipeOptions(
            readerScheduler: PipeScheduler.Inline,
            writerScheduler: PipeScheduler.Inline,
            pauseWriterThreshold: TransportLimits.InputHighWater,
            resumeWriterThreshold: TransportLimits.InputHighWater / 2,
            useSynchronizationContext: false));
        Pipe output = new(new PipeOptions(
            readerScheduler: PipeScheduler.Inline,
            writerScheduler: PipeScheduler.ThreadPool,
            pauseWriterThreshold: TransportLimits.OutputHighWater,
            resumeWriterThreshold: TransportLimits.OutputHighWater / 2,
            useSynchronizationContext: false));
        return (new DuplexPipe(input.Reader, output.Writer), new DuplexPipe(output.Reader, input.Writer));
    }
}
