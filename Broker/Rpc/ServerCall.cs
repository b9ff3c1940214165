using BarBroker.Grpc;
using BarBroker.Transport;
using Microsoft.AspNetCore.Http.Features;

namespace BarBroker.Rpc;

/// <summary>
/// One call on one HTTP/2 stream. Two may want to end it, the handler and the deadline: <see cref="_ended"/> is set once, under
/// <see cref="_gate"/>, and whoever sets it writes the status. Nothing is written after that, so a handler that ignores its
/// deadline can do no harm.
/// </summary>
internal sealed partial class ServerCall : ServerCallContext
{
    private readonly Lock _gate = new();
    private readonly GrpcApplication _server;
    private readonly IHttpRequestFeature _request;
    private readonly IHttpResponseFeature _response;
    private readonly IHttpResponseBodyFeature _body;
    private readonly IFeatureCollection _features;
    private readonly IPeerConnection _connection;
    private DateTimeOffset _deadline = DateTimeOffset.MaxValue;
    private Metadata? _requestHeaders;
    private Metadata? _responseTrailers;
    private MethodHandler? _handler;

    internal ServerCall(GrpcApplication server, IFeatureCollection features)
    {
        _server = server;
        _features = features;
        _request = features.GetRequiredFeature<IHttpRequestFeature>();
        _response = features.GetRequiredFeature<IHttpResponseFeature>();
        _body = features.GetRequiredFeature<IHttpResponseBodyFeature>();
        _connection = features.GetRequiredFeature<IPeerConnection>();
        _aborted = features.GetRequiredFeature<IHttpRequestLifetimeFeature>().RequestAborted;
    }

    public override string Method => _request.Path;

    public override IPeerConnection Connection => _connection;

    public override DateTimeOffset Deadline => _deadline;

    public override Metadata RequestHeaders => _requestHeaders ??= RequestMetadata.Read(_request.Headers);

    public override Metadata ResponseTrailers => _responseTrailers ??= [];

    /// <summary>For the log: what is no method of ours is the peer's text.</summary>
    private string ShownMethod => _handler is null ? PeerText.Show(Method) : Method;

    /// <summary>Runs the call from its first header to its status. Throws nothing.</summary>
    internal async Task RunAsync()
    {
        if (!CheckHttp())
        {
            return;
        }

        Status status;
        Metadata? trailers = null;
        try
        {
            _response.Headers.ContentType = GrpcProtocol.ContentType;
            _handler = ((ServedEndPoint)_features.GetRequiredFeature<UnixSocketEndPoint>()).Methods.Find(_request.Path, out status);
            if (_handler is not null && TryBeginCounted(ref status))
            {
                CheckEncoding();
                StartDeadline();
                await _handler.InvokeAsync(this);
                trailers = _responseTrailers;
            }
        }
        catch (Exception exception)
        {
            status = StatusOf(exception, out trailers);
            trailers = AddToResponseTrailers(trailers);
        }

        await EndAsync(status, trailers);
    }

    /// <summary>What is no gRPC at all gets HTTP's own answer.</summary>
    private bool CheckHttp()
    {
        if (_request.Method != HttpMethods.Post)
        {
            _response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            _response.Headers.Allow = HttpMethods.Post;
            return false;
        }

        if (!GrpcProtocol.IsGrpcContentType(_request.Headers.ContentType))
        {
            _response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
            return false;
        }

        return true;
    }

    private void CheckEncoding()
    {
        string? encoding = _request.Headers[GrpcProtocol.EncodingHeader];
        if (encoding is not (null or GrpcProtocol.IdentityEncoding))
        {
            _response.Headers[GrpcProtocol.AcceptEncodingHeader] = GrpcProtocol.IdentityEncoding;
            throw new RpcException(new Status(StatusCode.Unimplemented, $"Compression {PeerText.Show(encoding)} is not supported; send identity."));
        }
    }

    /// <summary>What the handler wanted to send with its status goes with its failure, too, save for keys that the failure itself has.</summary>
    private Metadata? AddToResponseTrailers(Metadata? own)
    {
        if (_responseTrailers is null or { Count: 0 } || own is null or { Count: 0 })
        {
            return own is null or { Count: 0 } ? _responseTrailers : own;
        }

        Metadata all = [];
        foreach (Metadata.Entry entry in _responseTrailers.Where(entry => !own.Any(other => other.Key == entry.Key)).Concat(own))
        {
            if (entry.IsBinary)
            {
                all.Add(entry.Key, entry.ValueBytes);
            }
            else
            {
                all.Add(entry.Key, entry.Value);
            }
        }

        return all;
    }

    private Status StatusOf(Exception exception, out Metadata? trailers)
    {
        trailers = null;
        if (exception is RpcException failed)
        {
            trailers = failed.Trailers;
            if (failed.StatusCode == StatusCode.ResourceExhausted)
            {
                _connection.ChargeRefusedCall();
            }

            return failed.StatusCode == StatusCode.OK ? RpcStatuses.HandlerFailed : failed.Status;
        }

        if (exception is DescriptorBudgetException)
        {
            _connection.ChargeRefusedCall();
            return new Status(StatusCode.ResourceExhausted, exception.Message);
        }

        // A cancelled call throws all kinds of things on its way out, from the handler and from Kestrel.
        if (_expired)
        {
            return RpcStatuses.DeadlineExceeded;
        }

        if (_aborted.IsCancellationRequested)
        {
            return RpcStatuses.Cancelled;
        }

        if (exception is OperationCanceledException && _handler!.EndsAtStop && _server.Stopping.IsCancellationRequested)
        {
            return RpcStatuses.Stopping;
        }

        // Kestrel tells the reader and the writer of a stream before it cancels the token.
        if (exception is CallerGoneException)
        {
            return RpcStatuses.Cancelled;
        }

        _server.Log.HandlerFailed(exception, Method, _connection.Id);
        return RpcStatuses.HandlerFailed;
    }
}
