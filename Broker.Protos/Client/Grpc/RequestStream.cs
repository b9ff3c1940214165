using System.Net;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>A request of many messages, which come one by one.</summary>
internal sealed class RequestStream : RequestContent
{
    /// <summary>HTTP/2's REFUSED_STREAM.</summary>
    private const int Refused = 7;

    private readonly TaskCompletionSource<Stream> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _writing;
    private volatile bool _isComplete;

    /// <summary>
    /// Sends a message. Completes when HTTP/2's windows had room for it, so a server that does not read holds its caller up rather than
    /// filling memory.
    /// </summary>
    /// <returns>False when the call is over, whatever ended it: its response says what.</returns>
    /// <exception cref="InvalidOperationException">The last write is still under way, or the requests are complete.</exception>
    internal async Task<bool> WriteAsync(IMessage message, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _writing, 1) != 0)
        {
            throw new InvalidOperationException("A write is under way already: one at a time.");
        }

        try
        {
            if (_isComplete)
            {
                throw new InvalidOperationException("The requests are complete: nothing can follow.");
            }

            cancellationToken.ThrowIfCancellationRequested();
            Stream stream = await _opened.Task.WaitAsync(cancellationToken);
            await WriteAsync(stream, message, cancellationToken);
            await stream.FlushAsync(cancellationToken);
            return true;
        }
        catch (Exception exception) when (exception is IOException or HttpRequestException or OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>No more will follow.</summary>
    internal void Complete()
    {
        _isComplete = true;
        _completed.TrySetResult();
    }

    /// <summary>Gives up, unless it is complete: HTTP resets the stream if the server did not.</summary>
    internal void Break()
    {
        _opened.TrySetCanceled();
        _completed.TrySetCanceled();
    }

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        // The server learns of the call before its first message. HTTP's token is not heeded: it is cancelled when the server resets the
        // stream, and HTTP reports what ends first, the request or the response; only the response knows the code of the reset.
        await stream.FlushAsync(CancellationToken.None);
        if (!_opened.TrySetResult(stream))
        {
            // HTTP tries a request that was refused again by itself, and what was written is gone.
            throw new HttpProtocolException(Refused, "The server refused the call.", innerException: null);
        }

        await _completed.Task;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Break();
        }

        base.Dispose(disposing);
    }
}
