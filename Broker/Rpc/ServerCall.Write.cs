using System.IO.Pipelines;
using BarBroker.Grpc;
using Google.Protobuf;
using Microsoft.AspNetCore.Http.Features;

namespace BarBroker.Rpc;

/// <content>Response headers and messages.</content>
internal sealed partial class ServerCall
{
    /// <summary>HTTP/2's CANCEL.</summary>
    private const int ResetCancel = 8;

    private bool _writing;
    private volatile bool _reset;

    public override async Task WriteResponseHeadersAsync(Metadata responseHeaders)
    {
        ArgumentNullException.ThrowIfNull(responseHeaders);
        BeginWrite();
        try
        {
            if (_response.HasStarted)
            {
                throw new InvalidOperationException("The response headers are sent already.");
            }

            RequestMetadata.Write(_response.Headers, responseHeaders);
            await _body.StartAsync(CancellationToken);
            await FlushAsync(CancellationToken);
        }
        finally
        {
            EndWrite();
        }
    }

    /// <summary>A message of a stream; completes when the caller has room for more.</summary>
    internal async Task WriteAsync(IMessage message, CancellationToken cancellationToken)
    {
        BeginWrite();
        try
        {
            using CancellationTokenSource? linked = cancellationToken.CanBeCanceled && cancellationToken != CancellationToken
                ? CancellationTokenSource.CreateLinkedTokenSource(CancellationToken, cancellationToken)
                : null;
            CancellationToken either = linked?.Token ?? CancellationToken;
            either.ThrowIfCancellationRequested();
            await WriteFrameAsync(message);
            await FlushAsync(either);
        }
        finally
        {
            EndWrite();
        }
    }

    /// <summary>The only message: Kestrel sends it together with the trailers, in one piece.</summary>
    internal async Task WriteLastAsync(IMessage message)
    {
        BeginWrite();
        try
        {
            await WriteFrameAsync(message);
        }
        finally
        {
            EndWrite();
        }
    }

    private async ValueTask WriteFrameAsync(IMessage message)
    {
        if (!_response.HasStarted)
        {
            await _body.StartAsync(CancellationToken.None);
        }

        MessageFrame.Write(_body.Writer, message);
    }

    /// <summary>
    /// Waits until the caller has room. Giving up resets the stream: what waits in it already would stand before any status, and hold
    /// memory for as long as the caller does not read.
    /// </summary>
    private async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        ValueTask<FlushResult> flush = _body.Writer.FlushAsync(CancellationToken.None);
        if (flush.IsCompletedSuccessfully)
        {
            ThrowIfGone(flush.Result);
            return;
        }

        await using (cancellationToken.UnsafeRegister(static call => ((ServerCall)call!).Reset(), this))
        {
            ThrowIfGone(await flush);
        }
    }

    private static void ThrowIfGone(FlushResult result)
    {
        if (result.IsCompleted || result.IsCanceled)
        {
            throw new CallerGoneException();
        }
    }

    private void Reset()
    {
        _reset = true;
        _features.GetRequiredFeature<IHttpResetFeature>().Reset(ResetCancel);
    }

    private void BeginWrite()
    {
        lock (_gate)
        {
            if (_ended)
            {
                throw new OperationCanceledException("The call has ended.");
            }

            if (_writing)
            {
                throw new InvalidOperationException("A write is under way already: one at a time.");
            }

            _writing = true;
        }
    }

    private void EndWrite()
    {
        lock (_gate)
        {
            _writing = false;
            EndIfExpired();
        }
    }
}
