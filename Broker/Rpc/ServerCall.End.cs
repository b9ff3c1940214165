using System.Globalization;
using BarBroker.Grpc;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace BarBroker.Rpc;

/// <content>Cancellation, the deadline, and the status.</content>
internal sealed partial class ServerCall
{
    /// <summary>Timers take no more; a deadline that far away is none.</summary>
    private static readonly TimeSpan MaxTimer = TimeSpan.FromDays(24);

    // Requested at the start: asking Kestrel later, from another thread, would race with the end of the stream.
    private readonly CancellationToken _aborted;
    private CancellationTokenSource? _cancellation;
    private CancellationTokenRegistration _abortRegistration;
    private CancellationTokenRegistration _stopRegistration;
    private ITimer? _timer;
    private Task _deadlineEnd = Task.CompletedTask;
    private volatile bool _expired;
    private bool _ended;

    public override CancellationToken CancellationToken
    {
        get
        {
            // The plain unary call needs no source of its own.
            if (_timer is null && !_handler!.EndsAtStop)
            {
                return _aborted;
            }

            lock (_gate)
            {
                return (_cancellation ??= CreateCancellation()).Token;
            }
        }
    }

    private CancellationTokenSource CreateCancellation()
    {
        CancellationTokenSource source = new();
        _abortRegistration = _aborted.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), source);
        if (_handler!.EndsAtStop)
        {
            _stopRegistration = _server.Stopping.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), source);
        }

        if (_expired)
        {
            source.Cancel();
        }

        return source;
    }

    private void StartDeadline()
    {
        string? header = _request.Headers[GrpcProtocol.TimeoutHeader];
        if (header is null)
        {
            return;
        }

        if (!GrpcTimeout.TryParse(header, out TimeSpan timeout))
        {
            throw new RpcException(RpcStatuses.TimeoutInvalid);
        }

        if (timeout == TimeSpan.Zero)
        {
            throw new RpcException(RpcStatuses.DeadlineExceeded);
        }

        DateTimeOffset now = _server.TimeProvider.GetUtcNow();
        _deadline = timeout < DateTimeOffset.MaxValue - now ? now + timeout : DateTimeOffset.MaxValue;
        if (timeout < MaxTimer)
        {
            // Stored before it can fire: the callback reads it.
            _timer = _server.TimeProvider.CreateTimer(
                static call => ((ServerCall)call!).OnDeadline(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _timer.Change(timeout, Timeout.InfiniteTimeSpan);
        }
    }

    private void OnDeadline()
    {
        CancellationTokenSource? source;
        lock (_gate)
        {
            if (_ended)
            {
                return;
            }

            _expired = true;
            source = _cancellation;

            // A write that is under way gets cancelled, and ends the call when it ends itself.
            EndIfExpired();
        }

        _server.Log.DeadlineExceeded(ShownMethod, _connection.Id);
        source?.Cancel();
    }

    /// <summary>Under the gate: ends a call whose deadline has passed, unless somebody did or writes to it. The handler may go on for as long as it likes.</summary>
    private void EndIfExpired()
    {
        if (_expired && !_ended && !_writing)
        {
            _ended = true;
            _deadlineEnd = CompleteAtDeadlineAsync();
        }
    }

    /// <summary>Sends the status without waiting for the handler.</summary>
    private async Task CompleteAtDeadlineAsync()
    {
        // Not under the lock of the caller.
        await Task.Yield();
        if (_reset)
        {
            return;
        }

        try
        {
            WriteStatus(RpcStatuses.DeadlineExceeded, trailers: null);
            await _body.CompleteAsync();
        }
        catch (Exception exception) when (_aborted.IsCancellationRequested)
        {
            // The caller is gone: nobody is left to be told.
            _ = exception;
        }
    }

    private async Task EndAsync(Status status, Metadata? trailers)
    {
        bool mine;
        lock (_gate)
        {
            mine = !_ended;
            _ended = true;
        }

        try
        {
            if (_timer is not null)
            {
                await _timer.DisposeAsync();
            }

            if (!mine)
            {
                await _deadlineEnd;
            }
            else if (!_aborted.IsCancellationRequested && !_reset)
            {
                WriteStatus(_expired ? RpcStatuses.DeadlineExceeded : status, trailers);
            }
        }
        finally
        {
            // Whatever Kestrel throws of a stream that is gone: a place that is not given back is lost to its user for good.
            EndCounted();
        }

        await _abortRegistration.DisposeAsync();
        await _stopRegistration.DisposeAsync();
        if (_server.LogsCalls)
        {
            Status final = _expired ? RpcStatuses.DeadlineExceeded : status;
            _server.Log.CallEnded(ShownMethod, _connection.Id, final.StatusCode, final.Detail);
        }
    }

    /// <summary>Into the trailers, or into the one header block when nothing was sent yet.</summary>
    private void WriteStatus(Status status, Metadata? trailers)
    {
        IHeaderDictionary target = _response.HasStarted
            ? _features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
            : _response.Headers;
        target[GrpcProtocol.StatusHeader] = StatusText(status.StatusCode);
        if (status.Detail.Length > 0)
        {
            target[GrpcProtocol.MessageHeader] = PercentEncoding.Encode(status.Detail);
        }

        if (trailers is not null)
        {
            RequestMetadata.Write(target, trailers);
        }
    }

    private static string StatusText(StatusCode code) => code == StatusCode.OK ? "0" : ((int)code).ToString(CultureInfo.InvariantCulture);
}
