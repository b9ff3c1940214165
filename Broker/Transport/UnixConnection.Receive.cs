using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <content>From the socket to Kestrel.</content>
internal sealed partial class UnixConnection
{
    private async Task ReceiveAsync()
    {
        Exception? error = null;
        try
        {
            // The listener goes on accepting.
            await Task.Yield();
            await ReceiveLoopAsync(_application.Output);
        }
        catch (SocketException exception)
        {
            error = new ConnectionResetException(exception.Message, exception);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            error = exception;
            _log.Failed(exception, _id);
        }

        // An end of input is the end of the connection: HTTP/2 has no half-closed ones.
        _descriptors.Refuse();
        await _application.Output.CompleteAsync(_shutdownReason ?? error);
        FireClosed();
    }

    private async Task ReceiveLoopAsync(PipeWriter input)
    {
        int silent = TransportLimits.PrefaceLength;
        while (true)
        {
            // A wait without a buffer: an idle connection holds no memory. Descriptors that a client sends are dropped by the kernel,
            // here and below, for want of a place to put them.
            await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None);
            int received = await _socket.ReceiveAsync(input.GetMemory(TransportLimits.MinReadSize), SocketFlags.None);
            if (received == 0)
            {
                return;
            }

            if (silent > 0)
            {
                silent -= received;
                if (silent <= 0)
                {
                    await _silence.DisposeAsync();
                }
            }

            input.Advance(received);
            FlushResult flushed = await input.FlushAsync();
            if (flushed.IsCompleted || flushed.IsCanceled)
            {
                return;
            }
        }
    }

    private void OnSilent()
    {
        _log.Silent(_id, _credentials.Uid, _credentials.Pid, _options.PrefaceTimeout);
        Abort(new ConnectionAbortedException($"The peer did not speak HTTP/2 within {_options.PrefaceTimeout}."));
    }
}
