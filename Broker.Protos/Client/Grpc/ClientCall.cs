using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>
/// One call under way. Disposing it before its end cancels it. A response is read by one at a time; giving up is for anybody, at any time.
/// </summary>
internal sealed class ClientCall : IDisposable
{
    /// <summary>gRPC's usual limit.</summary>
    private const int MaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>Timers take no more; a deadline that far away is none.</summary>
    private static readonly TimeSpan MaxTimer = TimeSpan.FromDays(24);

    private readonly CallOptions _options;
    private readonly CancellationTokenSource? _deadline;
    private readonly CancellationTokenSource? _any;
    private readonly CancellationTokenRegistration _breaking;
    private readonly DescriptorStream _connection;
    private readonly HttpRequestMessage _request;
    private readonly Task<HttpResponseMessage> _sending;
    private HttpResponseMessage? _response;
    private MessageReader? _reader;
    private bool _isStatusAlone;
    private RpcException? _failure;

    private ClientCall(
        HttpMessageInvoker invoker, HttpRequestMessage request, CallOptions options, TimeSpan? timeout, TimeProvider timeProvider, DescriptorStream connection)
    {
        _options = options;
        _connection = connection;
        _request = request;
        if (timeout < MaxTimer)
        {
            _deadline = new CancellationTokenSource(timeout.Value, timeProvider);
        }

        // The plain unary call needs no source of its own.
        RequestStream? requests = request.Content as RequestStream;
        if (requests is not null || (_deadline is not null && options.CancellationToken.CanBeCanceled))
        {
            _any = CancellationTokenSource.CreateLinkedTokenSource(_deadline?.Token ?? default, options.CancellationToken);
        }

        Token = _any?.Token ?? _deadline?.Token ?? options.CancellationToken;

        // Once the headers of the response are there, HTTP asks no token any more about what is left of the request.
        _breaking = requests is null ? default : Token.UnsafeRegister(static requests => ((RequestStream)requests!).Break(), requests);
        _sending = SendAsync(invoker, request, Token);
    }

    /// <summary>Is cancelled by the deadline, by the caller's token, and by <see cref="Cancel"/>.</summary>
    internal CancellationToken Token { get; }

    /// <summary>Sends the request. How that went, the first read tells.</summary>
    /// <exception cref="RpcException">DEADLINE_EXCEEDED: it has passed already, and nothing was sent.</exception>
    internal static ClientCall Start(
        HttpMessageInvoker invoker, Uri method, RequestContent content, CallOptions options, TimeProvider timeProvider, DescriptorStream connection)
    {
        TimeSpan? timeout = options.Deadline - timeProvider.GetUtcNow();
        return timeout <= TimeSpan.Zero
            ? throw new RpcException(ChannelStatuses.DeadlineExceeded)
            : new ClientCall(invoker, CreateRequest(method, content, timeout, options.Headers), options, timeout, timeProvider, connection);
    }

    /// <summary>The custom metadata of the response's headers; empty when they are a status alone.</summary>
    /// <exception cref="RpcException">The call failed.</exception>
    internal async Task<Metadata> ReadHeadersAsync()
    {
        try
        {
            await ReceiveHeadersAsync();
            return _isStatusAlone ? [] : ReadMetadata(_response!.Headers);
        }
        catch (Exception exception)
        {
            throw _failure ??= Translate(exception);
        }
    }

    /// <summary>The next message, or the end of a call that succeeded.</summary>
    /// <exception cref="RpcException">The call failed.</exception>
    internal async ValueTask<(bool Found, T? Message)> ReadAsync<T>(MessageParser<T> parser)
        where T : IMessage<T>
    {
        try
        {
            await ReceiveHeadersAsync();
            if (_isStatusAlone)
            {
                return default;
            }

            (bool found, T? message) = await _reader!.ReadAsync(parser, Token);
            if (!found)
            {
                TakeStatus(_response!.TrailingHeaders);
            }

            return (found, message);
        }
        catch (Exception exception)
        {
            throw _failure ??= Translate(exception);
        }
    }

    /// <summary>Gives up. Only for calls with a stream of requests.</summary>
    internal void Cancel()
    {
        try
        {
            _any!.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The call is over.
        }
    }

    public void Dispose()
    {
        if (_response is null)
        {
            _ = DiscardResponseAsync();
        }

        // The response first: what it does to an unfinished stream is to cancel it.
        _response?.Dispose();
        _breaking.Dispose();
        _request.Dispose();
        _reader?.Dispose();
        _any?.Dispose();
        _deadline?.Dispose();
    }

    /// <summary>A channel that is disposed of fails the task, too.</summary>
    private static async Task<HttpResponseMessage> SendAsync(HttpMessageInvoker invoker, HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await invoker.SendAsync(request, cancellationToken);
        }
        catch
        {
            // Whoever waits to write a request waits in vain.
            request.Dispose();
            throw;
        }
    }

    /// <summary>Nobody waited for the response: it is dropped when it comes, if the connection lasts that long.</summary>
    private async Task DiscardResponseAsync()
    {
        if (!_sending.IsCompleted)
        {
            _any?.Cancel();
        }

        try
        {
            (await _sending).Dispose();
        }
        catch (Exception)
        {
            // That is what was asked for.
        }
    }

    private async ValueTask ReceiveHeadersAsync()
    {
        // What failed once fails in the same way ever after.
        if (_failure is not null)
        {
            throw _failure;
        }

        if (_response is not null)
        {
            return;
        }

        HttpResponseMessage response = await _sending;
        _response = response;
        if (response.Headers.NonValidated.Contains(GrpcProtocol.StatusHeader))
        {
            // A status in the headers is the whole answer.
            _isStatusAlone = true;
            TakeStatus(response.Headers);
            return;
        }

        CheckHttp(response);
        if (_options.Received is { } received)
        {
            received.Headers = ReadMetadata(response.Headers);
        }

        _reader = new MessageReader(
            await response.Content.ReadAsStreamAsync(Token), _options.MaxReceiveMessageSize ?? MaxReceiveMessageSize);
    }

    private static HttpRequestMessage CreateRequest(Uri method, RequestContent content, TimeSpan? timeout, Metadata? headers)
    {
        HttpRequestMessage message = new(HttpMethod.Post, method)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        message.Headers.TryAddWithoutValidation("te", "trailers");
        if (timeout is { } left)
        {
            message.Headers.TryAddWithoutValidation(GrpcProtocol.TimeoutHeader, GrpcTimeout.Format(left));
        }

        if (headers is not null)
        {
            foreach (Metadata.Entry entry in headers)
            {
                message.Headers.TryAddWithoutValidation(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.ValueBytes) : entry.Value);
            }
        }

        return message;
    }

    /// <summary>Without a status of gRPC's, HTTP's own must be 200 and the content gRPC's.</summary>
    private static void CheckHttp(HttpResponseMessage response)
    {
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw new RpcException(new Status(
                ChannelStatuses.FromHttp(response.StatusCode), $"The server answered with HTTP status {(int)response.StatusCode}."));
        }

        string? contentType = response.Content.Headers.NonValidated.TryGetValues(GrpcProtocol.ContentTypeHeader, out HeaderStringValues values)
            ? values.ToString()
            : null;
        if (!GrpcProtocol.IsGrpcContentType(contentType))
        {
            throw new RpcException(new Status(StatusCode.Unknown, $"The server answered with content type '{contentType}', which is not gRPC's."));
        }
    }

    /// <summary>Takes the status and what came with it.</summary>
    /// <exception cref="RpcException">It is not OK, or missing.</exception>
    private void TakeStatus(HttpResponseHeaders headers)
    {
        Metadata? trailers = null;
        if (_options.Received is { } received)
        {
            received.Trailers = trailers = ReadMetadata(headers);
        }

        if (!headers.NonValidated.TryGetValues(GrpcProtocol.StatusHeader, out HeaderStringValues text))
        {
            throw new RpcException(ChannelStatuses.StatusMissing);
        }

        string number = text.ToString();
        if (number == "0")
        {
            return;
        }

        StatusCode code = int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            && value is > 0 and <= (int)StatusCode.Unauthenticated
                ? (StatusCode)value
                : StatusCode.Unknown;
        string detail = headers.NonValidated.TryGetValues(GrpcProtocol.MessageHeader, out HeaderStringValues message)
            ? PercentEncoding.Decode(message.ToString())
            : string.Empty;
        throw new RpcException(new Status(code, detail), trailers ?? ReadMetadata(headers));
    }

    private static Metadata ReadMetadata(HttpResponseHeaders headers)
    {
        Metadata metadata = [];
        foreach ((string name, HeaderStringValues values) in headers.NonValidated)
        {
            if ((GrpcProtocol.IsReserved(name) && !name.Equals(ErrorDetails.Key, StringComparison.OrdinalIgnoreCase)) || !Metadata.IsValidKey(name))
            {
                continue;
            }

            foreach (string value in values)
            {
                if (!name.EndsWith(GrpcProtocol.BinarySuffix, StringComparison.OrdinalIgnoreCase))
                {
                    if (Metadata.IsValidValue(value))
                    {
                        metadata.Add(name, value);
                    }
                }
                else
                {
                    // The status is good without it.
                    BinaryHeader.TryAddTo(metadata, name, value);
                }
            }
        }

        return metadata;
    }

    /// <summary>
    /// Any failure as a status. The deadline comes first: what else happened then happened because of it, the server's CANCELLED too.
    /// </summary>
    private RpcException Translate(Exception exception)
    {
        RpcException? status = exception as RpcException;
        if (status is not null and not { StatusCode: StatusCode.Cancelled })
        {
            return status;
        }

        if (_deadline is { IsCancellationRequested: true })
        {
            return new RpcException(ChannelStatuses.DeadlineExceeded, innerException: exception);
        }

        if (status is not null)
        {
            return status;
        }

        if (Token.IsCancellationRequested)
        {
            return new RpcException(ChannelStatuses.Cancelled, innerException: exception);
        }

        // After a GOAWAY, HTTP reports the end of the connection by the GOAWAY's code.
        if (!_connection.IsOver && FindReset(exception) is { } protocol)
        {
            return new RpcException(
                new Status(ChannelStatuses.FromReset(protocol.ErrorCode), $"The server reset the call with HTTP/2 error {protocol.ErrorCode}."),
                innerException: exception);
        }

        return ChannelStatuses.ConnectionLost(exception);
    }

    private static HttpProtocolException? FindReset(Exception? exception)
    {
        for (; exception is not null; exception = exception.InnerException)
        {
            if (exception is HttpProtocolException protocol)
            {
                return protocol;
            }
        }

        return null;
    }
}
