using System.IO.Pipelines;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <content>From Kestrel to the socket, with descriptors. Nothing else writes to the socket.</content>
internal sealed partial class UnixConnection
{
    private async Task SendAsync()
    {
        Exception reason = new ConnectionAbortedException("The broker closed the connection.");
        Exception? error = null;
        try
        {
            await SendLoopAsync(_application.Input);
            reason = _farewell?.Reason ?? reason;
        }
        catch (UnixException exception)
        {
            reason = new ConnectionResetException(exception.Message, exception);
            if (exception.Errno == Errno.TooManyReferences)
            {
                _log.TooManyInFlight(exception, _id);
            }
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            reason = error = exception;
            _log.Failed(exception, _id);
        }

        Shutdown(reason);
        await _application.Input.CompleteAsync(error);

        // The receive loop may wait for Kestrel to make room.
        _application.Output.CancelPendingFlush();
    }

    private async Task SendLoopAsync(PipeReader output)
    {
        while (true)
        {
            ReadResult result = await output.ReadAsync();
            if (result.IsCanceled)
            {
                SayFarewell();
                return;
            }

            foreach (ReadOnlyMemory<byte> segment in result.Buffer)
            {
                ReadOnlyMemory<byte> rest = segment;
                while (!rest.IsEmpty)
                {
                    int sent = SendSome(rest.Span);
                    if (sent == DescriptorSocket.WouldBlock)
                    {
                        await _writable.WaitAsync();
                        continue;
                    }

                    _meter.AddSent(sent);
                    rest = rest[sent..];
                }
            }

            output.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return;
            }
        }
    }

    /// <summary>Kestrel hands over whole frames, so that another may follow here. Who has no room for it learns nothing.</summary>
    private void SayFarewell()
    {
        if (_farewell is { } farewell)
        {
            DescriptorSocket.TrySend(_socket.SafeHandle, farewell.ToFrame(), descriptor: null);
        }
    }

    /// <summary>
    /// Sends what fits, with the first of the queued descriptors. While more than one is queued, each gets one byte and the last one the
    /// rest: so all that were queued before these bytes were written arrive at their very front. Only when there are more descriptors
    /// than bytes do some wait for the next bytes; the client waits for them too.
    /// </summary>
    private int SendSome(ReadOnlySpan<byte> bytes)
    {
        OwnedDescriptor? descriptor = _descriptors.Peek(out int queued);
        int sent = DescriptorSocket.TrySend(_socket.SafeHandle, queued > 1 ? bytes[..1] : bytes, descriptor);
        if (descriptor is not null && sent > 0)
        {
            _descriptors.MarkSent();
        }

        return sent;
    }
}
